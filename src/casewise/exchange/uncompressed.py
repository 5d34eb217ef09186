"""A file's data set with its pixels uncompressed, for systems that do not take the file's own transfer syntax."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from casewise.errors import UnreadableImageError
from casewise.formats.dicom.codestreams import check_streams
from casewise.formats.dicom.elements import whole
from casewise.formats.dicom.file import dataset_of
from casewise.formats.dicom.pixels import check_decodable

# GDCM is not among them: a damaged JPEG makes it abort the whole process instead of raising an error.
_DECODERS = ("pylibjpeg", "pillow", "pydicom")


def uncompressed(path: Path) -> Any:
    """The data set in explicit or implicit little endian, under the same SOP instance UID; one that is so already as it is.

    Raises UnreadableImageError where its pixels cannot be decoded.
    """
    from pydicom.pixels import get_decoder

    dataset = dataset_of(path)
    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_encapsulated or "PixelData" not in dataset:
        return dataset
    check_decodable(path, dataset)
    shape = [whole(dataset, keyword) for keyword in ("NumberOfFrames", "Rows", "Columns", "SamplesPerPixel")]
    check_streams(path, dataset, (shape[0] or 1, shape[1] or 0, shape[2] or 0, shape[3] or 1))
    for name in (name for name in _DECODERS if name in get_decoder(syntax).available_plugins):
        try:
            dataset.decompress(as_rgb=True, generate_instance_uid=False, decoding_plugin=name)
        except MemoryError:
            raise
        except BaseException as error:
            # The RLE decoder is of Rust, whose panic is no Exception.
            if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                raise
            continue
        return dataset
    raise UnreadableImageError(f"{path} cannot be decoded ({syntax.name}): its pixel data are damaged or not as its header says.")
