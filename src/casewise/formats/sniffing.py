"""Determines the kind of a file by its first bytes; the name's suffix only helps to word what is wrong."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

from casewise.formats.found import Kind

HEAD = 1024
SUFFIXES: dict[str, Kind] = {
    ".dcm": Kind.DICOM,
    ".dicom": Kind.DICOM,
    ".ima": Kind.DICOM,
    ".nii": Kind.NIFTI,
    ".nii.gz": Kind.NIFTI,
    ".hdr": Kind.NIFTI,
    ".nrrd": Kind.NRRD,
    ".nhdr": Kind.NRRD,
    ".mha": Kind.META,
    ".mhd": Kind.META,
    ".png": Kind.PNG,
    ".jpg": Kind.JPEG,
    ".jpeg": Kind.JPEG,
    ".tif": Kind.TIFF,
    ".tiff": Kind.TIFF,
    ".bmp": Kind.BMP,
    ".h5": Kind.HDF5,
    ".hdf5": Kind.HDF5,
}
_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", Kind.PNG),
    (b"\xff\xd8\xff", Kind.JPEG),
    (b"II*\x00", Kind.TIFF),
    (b"MM\x00*", Kind.TIFF),
    (b"II+\x00", Kind.TIFF),
    (b"MM\x00+", Kind.TIFF),
    (b"\x89HDF\r\n\x1a\n", Kind.HDF5),
    (b"NRRD000", Kind.NRRD),
)
_OTHER = (
    (b"PK\x03\x04", "a ZIP archive; unpack it first"),
    (b"%PDF", "a PDF document"),
    (b"\x1f\x8b", "a gzip archive that does not hold a NIfTI file; unpack it first"),
    (b"GIF8", "a GIF picture, a kind that is not read; save it as PNG"),
    (b"RIFF", "a RIFF file (WebP, AVI, WAV), a kind that is not read"),
)
_EXPLICIT_VRS = {b"UI", b"UL", b"OB", b"CS", b"SH", b"LO", b"DA", b"TM", b"AE", b"US", b"DT"}


def suffix_of(path: Path) -> str:
    """The suffix in lower case, with ``.nii.gz`` taken as one."""
    name = path.name.lower()
    return ".nii.gz" if name.endswith(".nii.gz") else Path(name).suffix


def kind_by_content(head: bytes) -> Kind | None:
    """The kind that a file's first bytes (up to ``HEAD`` of them) speak of; None if none."""
    if head[128:132] == b"DICM":
        return Kind.DICOM
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if head[:2] == b"\x1f\x8b":
        return Kind.NIFTI if _is_nifti(_inflated(head)) else None
    if _is_nifti(head):
        return Kind.NIFTI
    if head[:2] == b"BM" and len(head) >= 18 and head[14] in (12, 40, 52, 56, 64, 108, 124) and not any(head[15:18]):
        return Kind.BMP
    if b"NDims" in head[:512] and b"=" in head[:512] and not head.startswith(b"\x00"):
        return Kind.META
    return Kind.DICOM if _is_bare_dicom(head) else None


def why_no_image(path: Path, head: bytes) -> str:
    """One sentence for a file whose content is of no kind that is read. Its text is never quoted: it may name a patient."""
    expected = SUFFIXES.get(suffix_of(path))
    if path.suffix.lower() == ".img" and (header := path.with_suffix(".hdr")).is_file():
        return f"{path} holds the voxels of {header.name}; give that header, which names them."
    what = f"is not a {expected} file" if expected else "is not an image of a kind that is read"
    return f"{path} {what}: {_content(head, expected is Kind.NIFTI)}."


def _content(head: bytes, nifti: bool) -> str:
    if not head:
        return "it is empty"
    if len(head) >= 4 and head[:4] in (struct.pack("<i", 348), struct.pack(">i", 348)):
        return "it looks like Analyze 7.5, which does not say how the image lies in the patient; convert it to NIfTI"
    if head.startswith(b"\x1f\x8b") and nifti:
        return "its compressed data are damaged, or hold something else"
    for magic, words in _OTHER:
        if head.startswith(magic):
            return f"it is {words}"
    if not any(head):
        return "it begins with nothing but zeros"
    if b"\x00" not in head and sum(byte < 9 or 13 < byte < 32 for byte in head) == 0:
        return "it is a text file"
    return "its first bytes are of none of " + ", ".join(Kind)


def _inflated(head: bytes) -> bytes:
    try:
        return zlib.decompressobj(31).decompress(head, HEAD)
    except zlib.error:
        return b""


def _is_nifti(head: bytes) -> bool:
    return head[344:348] in (b"n+1\x00", b"ni1\x00") or head[4:8] in (b"n+2\x00", b"ni2\x00")


def _is_bare_dicom(head: bytes) -> bool:
    """Data elements with no preamble before them: the first is of group 2 or 8, explicit or implicit, little endian."""
    if len(head) < 16:
        return False
    group, element = struct.unpack_from("<HH", head)
    if group not in (0x0002, 0x0008) or element > 0x0100:
        return False
    return head[4:6] in _EXPLICIT_VRS or struct.unpack_from("<I", head, 4)[0] < 256
