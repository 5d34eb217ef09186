"""The regions of a picture as bytes, for a process that is to use them as they are; nothing of it is a lasting format."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np

from casewise.chest.region import Region, Regions, Remark
from casewise.chest.region_pose import Pose
from casewise.image import Box


@dataclass(frozen=True)
class _Packed:
    """masks : name → (eight pixels a byte, rows, columns, probability)."""

    masks: dict[str, tuple[bytes, int, int, float | None]]
    remarks: tuple[Remark, ...]
    pose: Pose


def packed(regions: Regions) -> bytes:
    """For :func:`unpacked`."""
    masks = {
        name: (np.packbits(region.mask).tobytes(), *region.mask.shape, region.probability) for name, region in regions.found.items()
    }
    return msgspec.msgpack.encode(_Packed(masks, regions.remarks, regions.pose))


def unpacked(content: bytes) -> Regions:
    """The regions that :func:`packed` was given."""
    kept = msgspec.msgpack.decode(content, type=_Packed)
    found = {}
    for name, (bits, rows, columns, probability) in kept.masks.items():
        pixels = np.unpackbits(np.frombuffer(bits, np.uint8), count=rows * columns)
        mask = pixels.reshape(rows, columns).astype(bool)
        box = Box.around(mask)
        if box is not None:
            found[name] = Region(name, mask, box, probability)
    return Regions(found, kept.remarks, kept.pose)
