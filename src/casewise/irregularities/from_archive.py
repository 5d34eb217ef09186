"""An archive's cases as examples of an irregularity: where it is, by boxes or masks, and cases that have none."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from casewise.case import Case, Structure
from casewise.errors import CasewiseError
from casewise.image import Box, Image
from casewise.irregularities.planes import Mask, Planes, pieces
from casewise.names import same_category
from casewise.orientation import size_stated

NORMAL = ("normal",)


@dataclass(frozen=True, eq=False)
class Labelled:
    """found : number of a plane → the boxes in it, in its pixels; empty for an image without irregularity. count : of its planes.
    spacing : mm a pixel of the planes, 0 where the file does not state it. edge : longest of the planes, in pixels.
    """

    case: Case
    found: Mapping[int, tuple[Box, ...]]
    count: int
    spacing: float
    edge: int

    @property
    def sizes(self) -> list[float]:
        """Of its irregularities in the planes: the longer edge in pixels."""
        return [float(max(box.shape)) for several in self.found.values() for box in several]

    def masks(self, names: Collection[str]) -> dict[str, Mask]:
        """Its own masks of these names, as far as it has them."""
        return {name: self.case.load_masks[name]() for name in names if name in self.case.load_masks}


def labelled(
    cases: Sequence[Case],
    structure: Structure,
    normal: Sequence[str] = NORMAL,
    regions: Sequence[str] = (),
    reading: Callable[[int, int], None] | None = None,
    failed: Callable[[str], None] | None = None,
) -> list[Labelled]:
    """Cases with boxes or masks of ``structure``, and those without any irregularity: whose masks are empty, or which bear no label
    of it and are of a category of ``normal``. Of all others nothing is known, and they are left out.

    Where a case has boxes of a part these are taken, else its mask, each connected piece of which is one irregularity, in a volume
    slice by slice. regions : masks that every case must have. failed : called with a sentence on each case that cannot be used;
    without it the CasewiseError is raised. Raises CasewiseError where no case has an irregularity.
    """
    chosen = [case for case in cases if _known(case, structure, normal) and all(name in case.load_masks for name in regions)]
    found = []
    for number, case in enumerate(chosen, start=1):
        try:
            found.append(_read(case, structure))
        except CasewiseError as error:
            if failed is None:
                raise
            failed(f"{case.name or case.key[:12]}: {error}")
        if reading is not None:
            reading(number, len(chosen))
    if not any(one.found for one in found):
        raise CasewiseError(_nothing(cases, structure, regions))
    return found


def _known(case: Case, structure: Structure, normal: Sequence[str]) -> bool:
    if any(part in case.boxes for part in structure.parts) or case.has(structure):
        return True
    return case.category is not None and any(same_category(case.category, name) for name in normal)


def _read(case: Case, structure: Structure) -> Labelled:
    image = case.image
    planes = Planes(image)
    found: dict[int, list[Box]] = {}
    for part in structure.parts:
        if part in case.boxes:
            for box in case.boxes[part]:
                for number, flat in planes.boxes_of(_checked(box, image, case)):
                    found.setdefault(number, []).append(flat)
        elif part in case.load_masks:
            for number, mask in enumerate(planes.masks(case.load_masks[part]())):
                if mask.any():
                    found.setdefault(number, []).extend(pieces(mask))
    stated = planes.spacing if size_stated(image) else 0.0
    boxes = {number: tuple(several) for number, several in sorted(found.items())}
    return Labelled(case, boxes, len(planes), stated, max(planes[0].shape))


def _checked(box: Box, image: Image, case: Case) -> Box:
    shape = image.spatial_shape
    if len(box.lower) != len(shape) or any(low < 0 or high > n for low, high, n in zip(box.lower, box.upper, shape, strict=True)):
        raise CasewiseError(f"A box of {case.name or case.key[:12]} lies outside its image; correct it and import it again.")
    return box


def _nothing(cases: Sequence[Case], structure: Structure, regions: Sequence[str]) -> str:
    masks = sorted({name for case in cases for name in case.load_masks})
    boxes = sorted({name for case in cases for name in case.boxes})
    among = f" among the cases with masks of {', '.join(regions)}" if regions else ""
    return (
        f"No case has a box or a mask of {structure}{among}; there are boxes of {', '.join(boxes) or 'nothing'} and masks of "
        f"{', '.join(masks) or 'nothing'}."
    )
