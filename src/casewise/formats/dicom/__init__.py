"""DICOM: files, series and their geometry in; segmentations out."""
