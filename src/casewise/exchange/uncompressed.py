"""A file's data set with its pixels uncompressed, for systems that do not take the file's own transfer syntax."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from casewise.formats.dicom.decoders import by_first_able
from casewise.formats.dicom.file import dataset_of
from casewise.formats.dicom.pixels import check_pixels


def uncompressed(path: Path) -> Any:
    """The data set in explicit or implicit little endian, under the same SOP instance UID; one that is so already as it is.

    Raises UnreadableImageError where its pixels cannot be decoded, or claim more memory than an image may take.
    """
    dataset = dataset_of(path)
    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_encapsulated or "PixelData" not in dataset:
        return dataset
    check_pixels(path, dataset)
    by_first_able(path, syntax, lambda name: dataset.decompress(as_rgb=True, generate_instance_uid=False, decoding_plugin=name))
    return dataset
