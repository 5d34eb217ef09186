from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from casewise.adaptation import subsets
from casewise.archive import Archive
from casewise.errors import CasewiseError
from casewise.models import Model
from casewise.models.shipped import default_encoder
from casewise.threads import one_thread
from casewise.training import Settings, dice
from casewise.workers import Processes
from tests.adaptation.discs import disc

QUICK = Settings(steps=60, batch=4, rate=1e-2, augmentation="none", device="cpu")


@pytest.fixture(scope="module")
def made(archive_folder: Path, model: Model) -> subsets.Subsets:
    with Archive.open(archive_folder) as archive:
        return subsets.build(archive, model, k=2, settings=QUICK)


def test_subsets_part_the_sites_and_hold_every_case(made: subsets.Subsets, archive: Archive) -> None:
    sites = {case.key: case.site for case in archive.cases()}
    found = [{sites[key] for key in subset.members} for subset in made.subsets]
    assert sorted(map(sorted, found)) == [["bright"], ["dark"]]
    assert sum(subset.size for subset in made.subsets) == 24


def test_image_takes_the_model_of_its_own_subset(made: subsets.Subsets, archive: Archive, model: Model) -> None:
    loaded = subsets.load(subsets.default_folder(archive, model))
    image, mask = disc(200, dark=True)
    subset, chosen, _ = subsets.choose(loaded, model, image, "cpu")
    assert subset.refined
    assert subset.measures["after_dice"] > subset.measures["before_dice"]
    assert dice(chosen.predict(image).mask > 0, mask) > dice(model.predict(image).mask > 0, mask) + 0.2


def test_second_build_makes_nothing_anew(made: subsets.Subsets, archive: Archive, model: Model) -> None:
    stamps = {subset.model: (subset.model / "weights.safetensors").stat().st_mtime_ns for subset in made.subsets}
    again = subsets.build(archive, model, k=2, settings=QUICK)
    assert {subset.model for subset in again.subsets} == set(stamps)
    assert all((path / "weights.safetensors").stat().st_mtime_ns == stamp for path, stamp in stamps.items())


def test_processes_refine_the_same_models(made: subsets.Subsets, archive: Archive, model: Model, tmp_path: Path) -> None:
    stored = model.save(tmp_path / "bright")
    with one_thread():
        here = subsets.build(archive, model, tmp_path / "here", k=2, settings=QUICK)
    there = subsets.build(archive, model, tmp_path / "there", k=2, settings=QUICK, workers=Processes(2), name=str(stored))
    assert [replace(one, model=Path(one.model.name)) for one in here.subsets] == [
        replace(one, model=Path(one.model.name)) for one in there.subsets
    ]
    for one, other in zip(here.subsets, there.subsets, strict=True):
        assert (one.model / "weights.safetensors").read_bytes() == (other.model / "weights.safetensors").read_bytes()
    assert [one.members for one in there.subsets] == [one.members for one in made.subsets]


def test_subsets_of_another_model_are_refused(made: subsets.Subsets, model: Model) -> None:
    with pytest.raises(CasewiseError, match="another model"):
        subsets.choose(replace(made, parent="0" * 32), model, disc(200, dark=True)[0], "cpu")


def test_subsets_whose_vectors_are_of_another_encoder_are_made_again(
    made: subsets.Subsets, archive: Archive, model: Model, tmp_path: Path
) -> None:
    assert made.encoder == model.key and subsets.load(subsets.default_folder(archive, model)).encoder == model.key
    with pytest.raises(CasewiseError, match="another encoder compared images; make them again with `casewise subsets`"):
        subsets.choose(replace(made, encoder="0" * 32), model, disc(200, dark=True)[0], "cpu")
    source = subsets.default_folder(archive, model)
    for name in ("centroids.npz", "subsets.toml"):
        (tmp_path / name).write_bytes((source / name).read_bytes())
    before = "".join(line for line in (tmp_path / "subsets.toml").read_text().splitlines(True) if not line.startswith("encoder"))
    (tmp_path / "subsets.toml").write_text(before)
    written_before = subsets.load(tmp_path)  # when casewise did not say whose vectors they are: the model's own, or the former's
    subsets.check(written_before, model)
    without = replace(model, spec=replace(model.spec, network={"kind": "shared_classifier"}))
    assert not without.has_encoder
    with pytest.raises(CasewiseError, match="another encoder"):
        subsets.check(replace(written_before, parent=without.key, encoder=without.key), without)
    subsets.check(replace(written_before, parent=without.key, encoder=default_encoder("cpu").key), without)


def test_missing_subsets_say_how_to_make_them(tmp_path: Path) -> None:
    with pytest.raises(CasewiseError, match="casewise subsets"):
        subsets.load(tmp_path)


def test_path_out_of_the_folder_is_refused(made: subsets.Subsets, archive: Archive, model: Model, tmp_path: Path) -> None:
    source = subsets.default_folder(archive, model)
    for name in ("centroids.npz", "subsets.toml"):
        (tmp_path / name).write_bytes((source / name).read_bytes())
    text = (tmp_path / "subsets.toml").read_text()
    (tmp_path / "subsets.toml").write_text(text.replace(made.subsets[0].model.name, "../../elsewhere"))
    with pytest.raises(CasewiseError, match="cannot be read"):
        subsets.load(tmp_path)


def test_too_few_cases_are_refused(tmp_path: Path, model: Model) -> None:
    with Archive.open(tmp_path / "small", create=True) as archive:
        archive.add(*disc(1, False)[:1], {"disc": disc(1, False)[1]})
        with pytest.raises(CasewiseError, match="subsets need"):
            subsets.build(archive, model, settings=QUICK)
