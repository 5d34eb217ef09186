"""Both lungs in CT: how large they are, how dense, and how much of them is emphysema."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import ndimage

from casewise.applications.measurements.hounsfield import BODY_HU, WINDOWED, Body, body_of, in_hounsfield_units, planes_of
from casewise.applications.measurements.measuring import Mask, Measuring
from casewise.applications.measures import size_of
from casewise.finding import Finding
from casewise.image import Array, Image

EMPHYSEMA_HU = -950.0
_AIRWAY_MM2 = 800.0  # smaller pieces of a plane in the middle of the body are trachea, bronchi or gullet
_MIDDLE = 0.17  # of the body's width, to either side of its middle
_LEAST = 0.02  # of the body: a lung that is smaller is none
_SEVERAL = 0.05  # of the larger lung: other pieces of a side are bowel
_GAS_HU = -970.0  # the median of a piece that is gas and no lung
_THICK_MM = 2.0


class LungFields(Measuring):
    """The lungs in chest CT as air within the body, left and right by where they lie, with the emphysema index.

    Air below −400 HU inside the body's outline; trachea and main bronchi are left out plane by plane, by their size and place. The
    emphysema index is the share below −950 HU (Gevenois 1996, AJRCCM 154:187; there in planes of 1 mm). Consolidated lung and
    effusions are not air and are not counted; bowel below the diaphragm may be, where its gas is mixed with other content.
    """

    name = "lung-fields-ct"
    categories = ("chest-ct",)
    what = "chest CT in Hounsfield units"

    def measured(self, image: Image, folder: Path | None) -> list[Finding]:
        """A finding a lung: its volume (area, of one plane), mean density and emphysema index."""
        if not in_hounsfield_units(image):
            raise self.refusal(WINDOWED)
        across = _across(image)
        if across is None:
            raise self.refusal(
                "the file does not say where left and right are, or the plane is not axial; give the original series"
            )
        body = body_of(image)
        lungs = _lungs(image, body, *across)
        if not lungs:
            raise self.refusal("no lung was found in this scan; give one of the chest")
        thick = image.spacing[body.axis] if body.axis is not None else None
        if thick is None or thick > _THICK_MM:
            self.notes.append("The emphysema index was defined in planes of 1 mm; in thicker ones it comes out smaller.")
        if body.cut:
            self.notes.append("The body runs out of the picture; lung that lies outside is not counted.")
        return [self._lung(name, mask, image, folder) for name, mask in lungs.items()]

    def _lung(self, name: str, mask: Mask, image: Image, folder: Path | None) -> Finding:
        values = image.array[0][mask].astype(np.float32)
        measures = size_of(mask, image) | {
            "mean_hu": float(values.mean(dtype=np.float64)),
            "emphysema_index_percent": 100 * float((values < EMPHYSEMA_HU).mean()),
        }
        return self.finding(name, measures, mask, self.written(name, mask, image, folder))


def _across(image: Image) -> tuple[int, bool] | None:
    """(axis from one side of the body to the other, whether it runs to the patient's right); None where that is not known."""
    if not image.header.placed:
        return None
    dims = image.spatial_dims
    if dims == 2:
        normal = np.cross(image.affine[:3, 0], image.affine[:3, 1])
        if int(np.argmax(np.abs(normal))) != 2:
            return None
    axis = int(np.argmax(np.abs(image.affine[0, :dims])))
    return axis, bool(image.affine[0, axis] > 0)


def _lungs(image: Image, body: Body, across: int, to_right: bool) -> dict[str, Mask]:
    air = body.mask & (image.array[0] < BODY_HU)
    middles = np.arange(image.spatial_shape[across], dtype=np.float32)
    shape = [1] * air.ndim
    shape[across] = -1
    place = np.broadcast_to(middles.reshape(shape), air.shape)
    kept = np.zeros_like(air)
    steps = [step for axis, step in enumerate(image.spacing) if axis != body.axis]
    centres: list[float] = []
    for index, plane in planes_of(air, body.axis):
        inside = body.mask[index]
        if not inside.any():
            continue
        columns = place[index][inside]
        low, high = float(columns.min()), float(columns.max())
        centres.append((low + high) / 2)
        kept[index] = _without_airways(
            plane, place[index], (low + high) / 2, _MIDDLE * (high - low), _AIRWAY_MM2 / (steps[0] * steps[1])
        )
    if not centres:
        return {}
    on_right = (place > np.median(centres)) == to_right
    found = {}
    total = int(body.mask.sum())
    for name, side in (("right_lung", on_right), ("left_lung", ~on_right)):
        mask = _largest(kept & side, image.array[0])
        if mask.sum() >= _LEAST * total:
            found[name] = mask
    return found


def _without_airways(plane: Mask, place: np.ndarray, centre: float, near: float, least: float) -> Mask:
    """A plane of air without small pieces near the middle of the body. least : pixels."""
    pieces, count = ndimage.label(plane)
    if not count:
        return plane
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
    middles = np.asarray(ndimage.mean(place, pieces, np.arange(1, count + 1)))
    airways = (sizes < least) & (np.abs(middles - centre) < near)
    return np.asarray(plane & ~np.concatenate([[False], airways])[pieces])


def _largest(mask: Mask, values: Array) -> Mask:
    """The largest piece that is no gas, and others of a twentieth of its size."""
    pieces, count = ndimage.label(mask)
    if not count:
        return mask
    sizes = np.bincount(pieces.ravel())[1:]
    large = np.flatnonzero(sizes >= _SEVERAL * sizes.max())
    gas = [number for number in large if np.median(values[pieces == number + 1]) < _GAS_HU]
    sizes[gas] = 0
    if not sizes.any():
        return np.zeros_like(mask)
    return np.asarray(np.concatenate([[False], sizes >= max(1, _SEVERAL * sizes.max())])[pieces])
