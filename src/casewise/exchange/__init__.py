"""DICOM on the wire: receiving, sending, asking and fetching. It knows nothing of archives, jobs or pages."""
