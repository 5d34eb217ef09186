"""The applications that come with casewise."""

from __future__ import annotations

from casewise.applications.brain_lesions import SEQUENCES
from casewise.applications.declared import ANY, ON_REQUEST, Declared, PythonRun
from casewise.applications.shipped import CATALOGUE

BUILT_IN = (
    Declared(
        "quality",
        (ANY,),
        ("clipping", "blur", "noise", "cropped anatomy", "wrong polarity", "burnt-in text"),
        PythonRun("casewise.applications.quality:Quality"),
        "What makes the image itself doubtful, before anything is read from it.",
        seconds=60.0,
        memory_mb=4096.0,
        origin="casewise",
        own=True,
        detects=(),
    ),
    *(
        Declared(
            shipped.name,
            shipped.categories,
            (shipped.feature,),
            PythonRun("casewise.applications.shipped:ShippedApplication"),
            f"By the small model {shipped.model} that comes with casewise; its card says how good it is, and on how few images.",
            settings={"name": shipped.name, "device": "cpu", "masks": "."},
            origin="casewise",
            own=True,
            detects=shipped.detects,
        )
        for shipped in CATALOGUE.values()
    ),
    Declared(
        "chest-regions",
        ("chest-xray",),
        ("lungs", "heart"),
        PythonRun("casewise.applications.cardiothoracic:ChestRegions"),
        "Both lungs, the heart and the lung behind it, outlined in any frontal chest radiograph.",
        settings={"device": "cpu", "masks": "."},
        origin="casewise",
        own=True,
        detects=(),
        regions=True,
    ),
    Declared(
        "cardiothoracic-ratio",
        ("chest-xray",),
        ("heart size",),
        PythonRun("casewise.applications.cardiothoracic:CardiothoracicRatio"),
        "The heart's width over the thorax's, with the lines drawn as a radiologist would.",
        settings={"device": "cpu", "masks": "."},
        origin="casewise",
        own=True,
        detects=(),
        regions=True,
    ),
    Declared(
        "irregularities",
        ("chest-xray",),
        ("nodules", "tuberculosis"),
        PythonRun("casewise.applications.irregularities:Irregularities"),
        "Nodules, looked for in segments of lungs and heart at 0.7 mm a pixel; its card says how many it misses.",
        settings={"device": "cpu", "maps": "."},
        origin="casewise",
        own=True,
        detects=("nodule", "tuberculosis"),
        regions=True,
    ),
    Declared(
        "abnormality",
        (ON_REQUEST,),
        ("whatever normal images do not show",),
        PythonRun("casewise.applications.abnormality:Abnormality"),
        "Where a brain's FLAIR or a chest radiograph differs from normal ones; its cards say how weak a sign that is.",
        settings={"device": "cpu", "maps": "."},
        seconds=180.0,
        origin="casewise",
        own=True,
        detects=("abnormality",),
    ),
    Declared(
        "brain-lesions",
        ("brain-mr",),
        ("glioma", "multiple sclerosis", "white-matter hyperintensity"),
        PythonRun("casewise.applications.brain_lesions:BrainLesions"),
        "Lesions by FLAIR and T1 together, or by either; its card says on how few patients it was made.",
        settings={"device": "cpu", "maps": "."},
        seconds=120.0,
        sequences=SEQUENCES,
        origin="casewise",
        own=True,
        detects=("lesions",),
    ),
)
