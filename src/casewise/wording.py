"""Figures with their units, and what is known of an image, as a person reads them."""

from __future__ import annotations

import math
from pathlib import PurePath

from casewise.image import Box, Image

_UNITS = {
    "ml": "ml",
    "l": "l",
    "mm": "mm",
    "cm": "cm",
    "mm2": "mm²",
    "cm2": "cm²",
    "mm3": "mm³",
    "px": "pixels",
    "voxels": "voxels",
    "hu": "HU",
    "percent": "%",
    "times": "× normal",
    "s": "s",
    "permm2": "/mm²",
    "permegapixel": "per megapixel",
}
# A figure that reads better in the next larger unit: from this amount on, divided by that.
_LARGER = {"ml": (1000, 1000, "l"), "mm2": (1000, 100, "cm²"), "mm3": (1000, 1000, "ml")}
_NAMES = {"dice": "Dice", "auc": "AUC", "iou": "IoU", "hd95": "95 % Hausdorff distance"}
_PLURALS = {"pixels": "pixel", "voxels": "voxel"}


def base_name(path: str) -> str:
    """The last part of a path of any system; a trailing ``#member`` stays."""
    return PurePath(path.replace("\\", "/")).name or path


def number(value: float, digits: int = 3) -> str:
    """A number to ``digits`` significant digits, thousands apart by a thin space; ``–`` for one that is not finite."""
    if not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{decimals}f}".replace(",", "\u202f").replace("-", "−")
    return text.rstrip("0").rstrip(".") if "." in text else text


def score(value: float | None) -> str:
    """A measure between 0 and 1 (or −1 and 1) to three decimals; ``–`` for none."""
    return "–" if value is None or not math.isfinite(value) else f"{value:.3f}".replace("-", "−")


def measure(name: str, value: float) -> tuple[str, str]:
    """(what, how much with its unit) of a measure whose name ends in its unit: ``("Volume", "4.1 l")`` of ``volume_ml``, 4100."""
    stem, _, suffix = name.rpartition("_")
    if not stem or suffix not in _UNITS:
        return _words(name), number(value)
    if suffix in _LARGER and abs(value) >= _LARGER[suffix][0]:
        _, divisor, unit = _LARGER[suffix]
        return _words(stem), f"{number(value / divisor)} {unit}"
    unit = _UNITS[suffix]
    return _words(stem), f"{number(value)} {_PLURALS.get(unit, unit) if value == 1 else unit}"


def measure_name(name: str) -> str:
    """A measure's name as it is written in a sentence: ``Dice``, ``AUC``, ``accuracy``."""
    if name == "soft_dice":
        return "Dice of probabilities"
    first, _, rest = name.partition("_")
    return f"{_NAMES.get(first.lower(), first)} {rest.replace('_', ' ')}".strip()


def box_text(box: Box) -> str:
    """``120:264,300:410``: half-open voxels, one range an axis, as the command line takes them."""
    return ",".join(f"{lower}:{upper}" for lower, upper in zip(box.lower, box.upper, strict=True))


def image_facts(image: Image) -> list[tuple[str, str]]:
    """(name, value) of what is known about an image: modality, sequence, body part, size, spacing, scanner, age and sex."""
    header = image.header
    unit = "voxels" if image.spatial_dims == 3 else "pixels"
    spacing = " × ".join(number(step) for step in image.spacing)
    facts = [
        ("Modality", header.modality),
        ("Sequence", header.sequence),
        ("Body part", header.body_part),
        ("Size", f"{' × '.join(str(side) for side in image.spatial_shape)} {unit}"),
        ("Spacing", f"{spacing} mm" if header.spacing_known else "not known"),
        ("Axes", header.axes_note),
        ("Scanner", " ".join(filter(None, (header.manufacturer, header.scanner)))),
        ("Age", f"{number(header.age)} years" if header.age is not None else None),
        ("Sex", {"M": "male", "F": "female", "O": "other"}.get(header.sex or "")),
    ]
    return [(name, str(value)) for name, value in facts if value not in (None, "")]


def _words(name: str) -> str:
    words = measure_name(name)
    return words[:1].upper() + words[1:]
