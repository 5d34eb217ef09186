"""Adapting a model to an image makes cases of those that it is adapted on, not of the archive."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest

from casewise.adaptation import Plan, subsets
from casewise.adaptation.adapter import Adapter
from casewise.archive import Archive
from casewise.models import Model
from casewise.training import Settings
from tests.adaptation.discs import disc
from tests.catalogue_counts import counted

QUICK = Settings(steps=2, batch=2, rate=1e-3, augmentation="none", device="cpu")
PLAN = Plan(k=2, held_out=1, settings=QUICK, label_fusion=False)


@pytest.mark.parametrize(("adapt", "most"), [("none", 0), ("subset", 0), ("similar", 6)])
def test_an_archives_cases_are_not_made_for_one_image(
    archive_folder: Path, model: Model, monkeypatch: pytest.MonkeyPatch, adapt: str, most: int
) -> None:
    image, _ = disc(100, dark=True)
    with Archive.open(archive_folder) as archive:
        if adapt == "subset" and not subsets.default_folder(archive, model).exists():
            subsets.build(archive, model, k=2, settings=QUICK)
    counts = counted(monkeypatch)
    with Archive.open(archive_folder) as archive:
        adapter = Adapter(model, archive, adapt, PLAN, "cpu")
        adapter.fit(image, lambda _: nullcontext())  # gives the images the vectors that they lack
        counts.clear()
        adapted = adapter.fit(image, lambda _: nullcontext())
        assert adapted.similar and len(archive) == 24
        assert counts["cases"] <= most
        assert len(adapter.cases([case.key for case in adapted.similar])) == len(adapted.similar)
