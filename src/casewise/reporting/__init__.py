"""What people see: HTML reports, overlays, contact sheets and charts. It knows nothing of models or of an archive's insides."""
