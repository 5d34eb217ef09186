"""Applications that look for disease, named for images of other kinds: hardly any gets a finding, without a router before them."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path

import pytest

from casewise import formats
from casewise.applications.builtin import BUILT_IN
from casewise.applications.declared import Declared
from casewise.errors import CasewiseError
from casewise.finding import FINDING, Finding
from casewise.image import Image

LOOKING = [declared for declared in BUILT_IN if declared.detects]
# Kind → pattern; two of each.
PICTURES = {
    "abdomen-mr": "kinds/abdomen-mr/*/*.jpg",
    "blood-smear": "kinds/blood-smear/*/*.jpg",
    "brain-mr": "kinds/brain-mr/*/*.jpg",
    "breast-mr": "mednist/BreastMRI/*.jpeg",
    "cardiac-mr": "kinds/cardiac-mr/*/*.jpg",
    "chest-ct": "kinds/chest-ct/*/*.jpg",
    "abdomen-ct": "mednist/AbdomenCT/*.jpeg",
    "head-ct": "mednist/HeadCT/*.jpeg",
    "dermoscopy": "kinds/dermoscopy/*/*.jpg",
    "endoscopy": "kinds/endoscopy/*/*.jpg",
    "fetal-us": "kinds/fetal-us/*/*.jpg",
    "kidney-us": "kinds/kidney-us/*/*.jpg",
    "liver-us": "kinds/liver-us/*/*.jpg",
    "hand-xray": "kinds/hand-wrist-xray/*/*.jpg",
    "hand": "mednist/Hand/*.jpeg",
    "histology-he": "kinds/histology-he/*/*.jpg",
    "knee-mr": "kinds/knee-mr/*/*.jpg",
    "mammography": "kinds/mammography/*/*.jpg",
    "oct-retina": "kinds/oct-retina/*/*.jpg",
    "pet-body": "kinds/pet-body/*/*.jpg",
    "prostate-mr": "kinds/prostate-mr/*/*.jpg",
    "spine-mr": "kinds/spine-mr/*/*.jpg",
    "food": "brain-tumour/*/*.jpg",
    "nuclei": "structures/dsb2018/images/*.jpg",
    "sections": "structures/nuclei-gbm/images/*.jpg",
    "membranes": "structures/em-membrane/images/*.jpg",
    "retina": "structures/retina/images/*.jpg",
    "wounds": "structures/wound/images/*.jpg",
    "breast-ultrasound": "busi/*/*.png",
    "chest-xray": "shenzhen/images/*.png",
}
# Called FLAIR, so that a missing name does not protect.
VOLUMES = {
    "heart": "acdc/*frame01.h5",
    "hippocampus": "hippocampus/images/*.nii.gz",
    "trunk": "totalseg-example/example_*_sm.nii.gz",
    "breast": "pyradiomics-mr/breast*_image.nrrd",
}
EACH, MOST, HALF = 2, 0.05, 0.5


@pytest.fixture(scope="module")
def foreign(shared_data: Path) -> list[tuple[str, Image]]:
    found = []
    for kinds, more in ((PICTURES, {}), (VOLUMES, {"sequence": "FLAIR"})):
        for kind, pattern in kinds.items():
            paths = sorted(shared_data.glob(pattern))
            for path in paths[:: max(1, len(paths) // EACH)][:EACH]:
                image = formats.read(path, "image" if path.suffix == ".h5" else None)
                found.append((kind, replace(image, header=replace(image.header, **more))))
    return found


def reported(findings: list[Finding]) -> bool:
    return any(one.kind == FINDING and (one.probability is None or one.probability > HALF) for one in findings)


@pytest.mark.shared
@pytest.mark.parametrize("declared", LOOKING, ids=lambda declared: declared.name)
def test_no_more_than_a_twentieth_of_other_kinds_gets_a_finding(declared: Declared, foreign: list[tuple[str, Image]]) -> None:
    module, _, name = declared.run.target.partition(":")  # type: ignore[union-attr]
    settings = {key: value for key, value in declared.settings.items() if key not in ("masks", "maps")}
    application = getattr(importlib.import_module(module), name)(**settings)
    wrong, asked = [], 0
    for kind, image in foreign:
        if any(kind in own for own in (declared.categories, OWN.get(declared.name, ()))):
            continue
        asked += 1
        try:
            if reported(application.analyze(image)):
                wrong.append(kind)
        except CasewiseError:
            continue
    assert asked >= 55 and len(wrong) <= MOST * asked, wrong


OWN = {"tuberculosis": ("chest-xray",), "abnormality": ("chest-xray",)}  # of those that are run on request
