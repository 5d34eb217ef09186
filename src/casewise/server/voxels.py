"""Voxels on the wire: raw, little-endian, in the order of ``Image.array``'s spatial axes, piece by piece."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from casewise.errors import UsageError
from casewise.image import Array, Image
from casewise.server.schemas.cases import Plane

_PIECE = 4 << 20  # bytes, about
_LEVEL = 1  # of gzip: more takes longer than a network does
# Types that the page reads as they are; the others are widened to the first that holds all their values, or else to float32.
_SENT = {"uint8": "uint8", "int16": "int16", "uint16": "uint16", "float32": "float32", "bool": "uint8", "int8": "int16"}


@dataclass(frozen=True, eq=False)
class Voxels:
    """array : (*spatial), or (*spatial, 3) of a colour image. channels : 1, or 3 for colour."""

    array: Array
    channels: int

    @property
    def dtype(self) -> np.dtype[np.generic]:
        return np.dtype(dtype_sent(self.array.dtype)).newbyteorder("<")

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape[: self.array.ndim - (self.channels > 1)]

    @property
    def size(self) -> int:
        return self.array.size * self.dtype.itemsize

    def pieces(self) -> Iterator[bytes]:
        """The octets, row-major, channels last."""
        rows = max(1, round(_PIECE / max(1, self.size // max(1, len(self.array)))))
        for start in range(0, len(self.array), rows):
            yield self._octets(start, start + rows)

    def _octets(self, start: int, stop: int) -> bytes:
        with np.errstate(over="ignore"):  # beyond float32 a value is infinite
            return np.ascontiguousarray(self.array[start:stop], self.dtype).tobytes()

    def zipped(self) -> Iterator[bytes]:
        """The same octets in gzip's format."""
        packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
        for piece in self.pieces():
            if packed := packer.compress(piece):
                yield packed
        yield packer.flush()


def dtype_sent(kind: npt.DTypeLike) -> str:
    """The type in which voxels travel: int16, uint8, uint16 and float32 as they are, bool as uint8, int8 as int16, every other as
    float32 (whole numbers beyond 2²⁴ are rounded, values beyond float32 become infinite).
    """
    return _SENT.get(np.dtype(kind).name, "float32")


def is_colour(image: Image) -> bool:
    """Whether an image's channels are red, green and blue, and not sequences."""
    return image.channels == 3 and (image.header.photometric == "RGB" or image.array.dtype == np.uint8)


def chosen(image: Image, channel: int | None, plane: Plane | None, place: int | None) -> Voxels:
    """The voxels of an image, of one channel, or of one plane.

    channel : None for the first, or for all three of a colour image. plane, place : the slice ``place`` of a plane; its voxels keep
    the order of the image's axes. Raises UsageError for what the image does not have.
    """
    if channel is not None and not 0 <= channel < image.channels:
        raise UsageError(f"The image has the channels 0 to {image.channels - 1}; got {channel}.")
    colour = channel is None and is_colour(image)
    array: Array = np.moveaxis(image.array, 0, -1) if colour else image.array[channel or 0]
    if plane is not None and plane.through is not None:
        count = image.spatial_shape[plane.through]
        if place is None or not 0 <= place < count:
            raise UsageError(f"The {plane.name} planes of the image are 0 to {count - 1}; got {place}.")
        array = np.take(array, place, axis=plane.through)
    return Voxels(array, 3 if colour else 1)
