"""Compressed DICOM frames whose own stream is of another size than the header says: refused before a decoder takes its word."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from casewise.errors import UnreadableImageError
from casewise.formats.codestreams import Stream, streams_in

_RLE = "1.2.840.10008.1.2.5"
_MOST_PASSES = 1 << 30
_FEW_SCANS = 64


def check_streams(path: Path, dataset: Any, shape: tuple[int, int, int, int]) -> None:
    """Refuse frames that would decode to something else than (frames, rows, columns, samples), or for ever."""
    frames, rows, columns, samples = shape
    rle = dataset.file_meta.TransferSyntaxUID == _RLE
    for number, data in enumerate(_frames(dataset, frames)):
        where = f"{path}, frame {number}," if frames > 1 else str(path)
        if rle:
            _check_rle(where, data, samples)
            continue
        found = streams_in(data)
        if found is None:
            continue
        if not found:
            raise UnreadableImageError(f"{where} holds a compressed stream that does not state its size: it is damaged.")
        for one in found:
            _check(where, one, rows, columns, samples)


def _frames(dataset: Any, frames: int) -> Iterator[bytes]:
    from pydicom.encaps import generate_frames

    table = None
    if "ExtendedOffsetTable" in dataset and "ExtendedOffsetTableLengths" in dataset:
        table = dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths
    yield from generate_frames(dataset.PixelData, number_of_frames=frames, extended_offsets=table)


def _check(where: str, stream: Stream, rows: int, columns: int, samples: int) -> None:
    if (stream.rows, stream.columns) != (rows, columns):
        msg = (
            f"{where} has {rows}×{columns} pixels by its header and {stream.rows}×{stream.columns} by its compressed stream: "
            "one of them is damaged; export it again."
        )
        raise UnreadableImageError(msg)
    if stream.components != samples:
        msg = (
            f"{where} has {samples} samples a pixel by its header and {stream.components} by its compressed stream: "
            "one of them is damaged; export it again."
        )
        raise UnreadableImageError(msg)
    if stream.scans > _FEW_SCANS and stream.scans * rows * columns > _MOST_PASSES:
        raise UnreadableImageError(
            f"{where} passes {stream.scans:,} times over its pixels, which would take too long; it is refused."
        )


def _check_rle(where: str, data: bytes, samples: int) -> None:
    segments = struct.unpack_from("<I", data)[0] if len(data) >= 64 else 0
    if segments not in {samples * width for width in (1, 2, 4)}:
        raise UnreadableImageError(
            f"{where} is damaged: its run-length data have {segments} segments for {samples} samples a pixel."
        )
