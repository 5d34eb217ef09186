"""The hospital's network: what arrives by DICOM, when it is complete, and results on their way back."""
