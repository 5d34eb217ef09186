"""Every file kind in, every file kind out: DICOM, NIfTI, NRRD, MetaImage, PNG, JPEG, TIFF, BMP and HDF5.

Importing this package is cheap: the library of each kind of file is imported when such a file is first read.
"""

from casewise.formats.found import Found, Kind, Rejected
from casewise.formats.masks import drawn_in, read_label_map, read_mask
from casewise.formats.reading import read, read_found
from casewise.formats.scanning import scan
from casewise.formats.writing import mask_suffix, write, write_mask

__all__ = [
    "Found",
    "Kind",
    "Rejected",
    "drawn_in",
    "mask_suffix",
    "read",
    "read_found",
    "read_label_map",
    "read_mask",
    "scan",
    "write",
    "write_mask",
]
