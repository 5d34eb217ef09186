"""DICOMweb, below ``/dicomweb``: for viewers search (QIDO-RS) and retrieval (WADO-RS) of the archive's DICOM; and objects that come
in (STOW-RS), as they come by C-STORE.

Where ``server.toml`` does not say ``show_names``, no name and no identifier of a person leaves: neither in JSON nor in the headers
of files. PatientName and PatientID are the archive's pseudonym then, the same for all images of one person.
"""
