"""Measuring applications named for images of other kinds: they refuse nearly all, without a router before them."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from casewise import formats
from casewise.applications.declared import Declared
from casewise.applications.measurements.declarations import MEASURING
from casewise.applications.refusal import NotMeasuredError
from casewise.image import Image

# Kind → pattern. What an application is for, and what looks so much like it that its measure is none of its own, is left out below.
KINDS = {
    "food": "brain-tumour/*/*.jpg",
    "wound": "structures/wound/images/*",
    "membranes": "structures/em-membrane/images/*",
    "histology": "structures/nuclei-gbm/images/*",
    "fundus-photograph": "structures/retina/images/*",
    "breast-ultrasound": "busi/*/*.png",
    "dermoscopy": "kinds/dermoscopy/*/*.jpg",
    "endoscopy": "kinds/endoscopy/*/*.jpg",
    "blood-smear": "kinds/blood-smear/*/*.jpg",
    "mammography": "kinds/mammography/*/*.jpg",
    "knee-mr": "kinds/knee-mr/*/*.jpg",
    "abdomen-ct": "mednist/AbdomenCT/*.jpeg",
    "head-ct": "mednist/HeadCT/*.jpeg",
    "chest-xray": "shenzhen/images/*.png",
    "hand-xray": "mednist/Hand/*.jpeg",
    "breast-mr": "mednist/BreastMRI/*.jpeg",
}
EACH, MOST = 3, 0.05


@pytest.fixture(scope="module")
def foreign(shared_data: Path) -> dict[str, list[Image]]:
    found = {}
    for kind, pattern in KINDS.items():
        paths = sorted(shared_data.glob(pattern))
        found[kind] = [formats.read(path) for path in paths[:: max(1, len(paths) // EACH)][:EACH]]
    return found


@pytest.mark.shared
@pytest.mark.parametrize("declared", MEASURING, ids=lambda declared: declared.name)
def test_other_kinds_are_refused_by_name(declared: Declared, foreign: dict[str, list[Image]]) -> None:
    module, _, name = declared.run.target.partition(":")  # type: ignore[union-attr]
    application = getattr(importlib.import_module(module), name)()
    taken, asked = [], 0
    for kind, images in foreign.items():
        if kind in declared.categories:
            continue
        for number, image in enumerate(images):
            asked += 1
            try:
                application.analyze(image)
                taken.append(f"{kind} {number}")
            except NotMeasuredError:
                continue
    assert asked >= 36 and len(taken) <= MOST * asked, taken
