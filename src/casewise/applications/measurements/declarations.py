"""The measuring applications: what each takes and measures."""

from __future__ import annotations

from casewise.applications.declared import Declared, PythonRun

_CT = ("abdomen-ct", "chest-ct", "head-ct")
_MR = ("brain-mr", "breast-mr", "cardiac-mr", "prostate-mr")


def _measuring(name: str, categories: tuple[str, ...], features: tuple[str, ...], target: str, about: str) -> Declared:
    run = PythonRun(f"casewise.applications.measurements.{target}")
    return Declared(name, categories, features, run, about, {"masks": "."}, origin="casewise", own=True, detects=())


MEASURING = (
    _measuring(
        "body-outline",
        _CT,
        ("body size",),
        "body_outline:BodyOutline",
        "The body's outline in CT, its volume and its effective and water-equivalent diameter.",
    ),
    _measuring(
        "body-composition",
        _CT,
        ("tissue densities",),
        "body_composition:BodyComposition",
        "Shares of air and lung, fat, soft tissue and bone in CT, by Hounsfield units.",
    ),
    _measuring("ct-noise", _CT, ("noise of CT",), "ct_noise:CtNoise", "The noise of a CT scan in its soft tissue, in HU."),
    _measuring(
        "lung-fields-ct",
        ("chest-ct",),
        ("lungs", "emphysema index"),
        "lung_fields:LungFields",
        "Both lungs in chest CT: volume, mean density and the share below −950 HU.",
    ),
    _measuring(
        "mirror-symmetry",
        ("head-ct", "brain-mr", "breast-mr"),
        ("left-right symmetry",),
        "mirror_symmetry:MirrorSymmetry",
        "How different the halves of a head or of both breasts are about the line that mirrors them best, and their size.",
    ),
    _measuring(
        "mr-noise",
        _MR,
        ("signal to noise",),
        "mr_noise:MrNoise",
        "The signal-to-noise ratio of an MR image, where its corners hold the noise of air.",
    ),
    _measuring(
        "mr-shading",
        _MR,
        ("shading",),
        "mr_shading:MrShading",
        "How much a smooth surface through an MR image's brightness varies.",
    ),
    _measuring(
        "exposure-field",
        ("chest-xray", "hand-xray"),
        ("exposed field",),
        "exposure_field:ExposureField",
        "The part of a radiograph within its even margins.",
    ),
    _measuring(
        "hand-outline",
        ("hand-xray",),
        ("hand", "bone contrast"),
        "hand_outline:HandOutline",
        "A hand's outline in a radiograph, its area, and the contrast of bone in it.",
    ),
    _measuring(
        "ultrasound-field",
        ("breast-ultrasound",),
        ("insonated field",),
        "ultrasound_field:UltrasoundField",
        "The insonated field of an ultrasound picture, and how deep its echoes reach.",
    ),
    _measuring(
        "fundus-field",
        ("fundus-photograph",),
        ("field of view",),
        "fundus_field:FundusField",
        "The lit disc of a fundus photograph, and how evenly it is lit.",
    ),
    _measuring(
        "retinal-vessels",
        ("fundus-photograph",),
        ("vessels of the retina",),
        "retinal_vessels:RetinalVessels",
        "Vessels of the retina by a ridge filter: how much of the field they cover, and how long they are.",
    ),
    _measuring(
        "histology-stains",
        ("histology",),
        ("haematoxylin and eosin",),
        "histology_stains:HistologyStains",
        "How much haematoxylin and eosin a section holds, by colour deconvolution.",
    ),
    _measuring(
        "histology-nuclei",
        ("histology",),
        ("nuclei",),
        "histology_nuclei:HistologyNuclei",
        "Nuclei in a section stained with haematoxylin and eosin: how many, how dense, how large.",
    ),
)
