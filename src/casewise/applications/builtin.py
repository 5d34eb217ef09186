"""The applications that come with casewise."""

from __future__ import annotations

from typing import Any

from casewise.applications.brain_lesions import SEQUENCES
from casewise.applications.declared import ANY, ON_REQUEST, Declared, PythonRun
from casewise.applications.measurements.declarations import MEASURING
from casewise.applications.shipped import CATALOGUE


def _own(name: str, categories: tuple[str, ...], features: tuple[str, ...], target: str, about: str, **more: Any) -> Declared:
    return Declared(
        name, categories, features, PythonRun(f"casewise.applications.{target}"), about, origin="casewise", own=True, **more
    )


_MASKS, _MAPS = {"device": "cpu", "masks": "."}, {"device": "cpu", "maps": "."}
BUILT_IN = (
    _own(
        "quality",
        (ANY,),
        ("clipping", "blur", "noise", "cropped anatomy", "wrong polarity", "burnt-in text"),
        "quality:Quality",
        "What makes the image itself doubtful, before anything is read from it.",
        detects=(),
    ),
    *(
        _own(
            shipped.name,
            shipped.categories,
            (shipped.feature,),
            "shipped:ShippedApplication",
            f"By the small model {shipped.model} that comes with casewise; its card says how good it is, and on how few images.",
            settings={"name": shipped.name, **_MASKS},
            detects=shipped.detects,
        )
        for shipped in CATALOGUE.values()
    ),
    _own(
        "chest-regions",
        ("chest-xray",),
        ("lungs", "heart"),
        "cardiothoracic:ChestRegions",
        "Both lungs, the heart and the lung behind it, outlined in any frontal chest radiograph.",
        settings=_MASKS,
        detects=(),
        regions=True,
    ),
    _own(
        "cardiothoracic-ratio",
        ("chest-xray",),
        ("heart size",),
        "cardiothoracic:CardiothoracicRatio",
        "The heart's width over the thorax's, with the lines drawn as a radiologist would.",
        settings=_MASKS,
        detects=(),
        regions=True,
    ),
    _own(
        "irregularities",
        ("chest-xray",),
        ("nodules", "tuberculosis"),
        "irregularities:Irregularities",
        "Nodules, looked for in segments of lungs and heart at 0.7 mm a pixel; its card says how many it misses.",
        settings=_MAPS,
        detects=("nodule", "tuberculosis"),
        regions=True,
    ),
    # ``irregularities`` says of the same film what this one says, so that a report would name it twice.
    _own(
        "tuberculosis",
        (ON_REQUEST,),
        ("tuberculosis",),
        "tuberculosis:Tuberculosis",
        "Signs of tuberculosis in the lungs, segment by segment, with a map; its card says how good it is, and on how few films.",
        settings=_MAPS,
        detects=("tuberculosis",),
        regions=True,
    ),
    _own(
        "abnormality",
        (ON_REQUEST,),
        ("whatever normal images do not show",),
        "abnormality:Abnormality",
        "Where a brain's FLAIR or a chest radiograph differs from normal ones; its cards say how weak a sign that is.",
        settings=_MAPS,
        seconds=180.0,
        detects=("abnormality",),
    ),
    _own(
        "brain-lesions",
        ("brain-mr",),
        ("glioma", "multiple sclerosis", "white-matter hyperintensity"),
        "brain_lesions:BrainLesions",
        "Lesions by FLAIR and T1 together, or by either; its card says on how few patients it was made.",
        settings=_MAPS,
        seconds=120.0,
        sequences=SEQUENCES,
        detects=("lesions",),
    ),
    *MEASURING,
)
