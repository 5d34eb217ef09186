"""``casewise evaluate``: the figures are those of the masks and classes themselves."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from casewise.archive import Archive
from casewise.case import Structure
from casewise.evaluation import Evaluated, measures_of
from casewise.models import Lineage, Model, Preparation, Spec
from tests.cli.conftest import Call


def test_dice_is_that_of_the_masks_by_case_and_site(call: Call, archive: Path, model: Path) -> None:
    done = call("evaluate", model, archive, "--json")
    assert done.code == 0, done.err
    rows = {row["case"]: row for row in done.document["cases"]}
    assert len(rows) == 16 and not any(row["trained_on"] for row in rows.values())
    network = Model.load(model)
    with Archive.open(archive) as opened:
        for case in opened.cases()[:3]:
            found, truth = network.predict(case.image).masks()["disc"], case.load_masks["disc"]()
            assert rows[case.name]["dice"]["disc"] == pytest.approx(2 * (found & truth).sum() / (found.sum() + truth.sum()))
    whole, *sites = done.document["measures"]
    assert (whole["n"], whole["site"], [(m["site"], m["n"]) for m in sites]) == (16, None, [("A", 8), ("B", 8)])
    assert whole["value"] == pytest.approx(np.mean([row["dice"]["disc"] for row in rows.values()]))
    assert whole["lower"] <= whole["value"] <= whole["upper"]
    alone = call("evaluate", model, archive, "--site", "B", "--json").document
    assert len(alone["cases"]) == 8 and alone["measures"][0]["value"] == pytest.approx(sites[1]["value"])


def test_cases_without_the_models_label_are_counted(call: Call, archive: Path, model: Path, tmp_path: Path) -> None:
    source = Model.load(model)
    with Archive.open(tmp_path / "mixed", create=True) as mixed, Archive.open(archive) as opened:
        for number, case in enumerate(opened.cases()[:3]):
            names = ("disc", "left_disc", "right_disc")
            mixed.add(case.image, {names[number]: case.load_masks["disc"]()}, name=f"case{number}")
    done = call("evaluate", model, tmp_path / "mixed")
    assert "discs on 1 case:" in done.out and "2 cases without a label of disc: not compared." in done.out
    parts = Structure("disc", ("disc", "left_disc", "right_disc"))
    joined = Model("joined", replace(source.spec, structures=(parts,)), source.weights).save(tmp_path / "joined")
    document = call("evaluate", joined, tmp_path / "mixed", "--json").document
    assert document["without_label"] == 0 and len(document["cases"]) == 3


def test_cases_that_the_model_was_trained_on_are_left_out_unless_asked_for(
    call: Call, archive: Path, model: Path, tmp_path: Path
) -> None:
    with Archive.open(archive) as opened:
        known = [case.key for case in opened.cases(site="A")]
    source = Model.load(model)
    trained = Model("trained", source.spec, source.weights, Lineage(trained_on=frozenset(known))).save(tmp_path / "trained")
    document = call("evaluate", trained, archive, "--json").document
    assert document["left_out"] == 8 and document["measures"][0]["n"] == 8
    assert sum(row["trained_on"] for row in document["cases"]) == 8
    everything = call("evaluate", trained, archive, "--trained-on", "--json").document
    assert everything["left_out"] == 0 and everything["measures"][0]["n"] == 16


def test_a_training_case_that_was_overwritten_counts_as_no_case(call: Call, pictures: Path, model: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(pictures, tmp_path / "pictures"))
    assert call("import", tmp_path / "archive", copied, "--manifest", copied / "labels.csv").code == 0
    with Archive.open(tmp_path / "archive") as opened:
        known = {case.name: case.key for case in opened.cases()}
    source = Model.load(model)
    trained = Model("trained", source.spec, source.weights, Lineage(trained_on=frozenset(known.values()))).save(
        tmp_path / "trained"
    )
    shutil.copyfile(copied / "p01.png", copied / "p00.png")
    done = call("evaluate", trained, tmp_path / "archive", "--trained-on", "--json")
    assert "p00.png was changed after it was imported; import it again" in done.err
    assert len(done.document["cases"]) == 15 and all(row["trained_on"] for row in done.document["cases"])


def test_a_classifier_gets_the_area_under_its_curve() -> None:
    spec = Spec("classification", {"kind": "classifier", "channels": [4, 8]}, Preparation(2, (32, 32)), classes=("no", "yes"))
    model = Model.initial("c", spec)
    scores = [0.1, 0.4, 0.35, 0.8, 0.2, 0.9]
    truth = ["no", "no", "yes", "yes", "no", "yes"]
    rows = [
        Evaluated(f"case{n}", None, f"s{n}", False, category=name, scores={"no": 1 - score, "yes": score})
        for n, (score, name) in enumerate(zip(scores, truth, strict=True))
    ]
    found = {(measure.name, measure.label): measure for measure in measures_of(model, rows)}
    assert found["auc", "yes"].value == pytest.approx(8 / 9)  # of 9 pairs, .35 against .4 alone is the wrong way round
    assert found["accuracy", "all classes"].value == pytest.approx(5 / 6)
    assert found["auc", "yes"].subjects == 6


def test_intervals_are_over_subjects_and_not_over_images() -> None:
    spec = Spec("segmentation", {"kind": "unet", "channels": [4, 8]}, Preparation(2, (32, 32)), structures=(Structure.parse("a"),))
    model = Model.initial("m", spec)
    rng = np.random.default_rng(0)
    values = rng.uniform(0.3, 0.9, 6)
    one = [Evaluated(f"{n}", None, f"s{n}", False, {"a": float(v)}) for n, v in enumerate(values)]
    ten = [Evaluated(f"{n}-{k}", None, f"s{n}", False, {"a": float(v)}) for n, v in enumerate(values) for k in range(10)]
    (single,), (repeated,) = measures_of(model, one), measures_of(model, ten)
    assert repeated.n == 60 and repeated.subjects == 6
    assert repeated.upper - repeated.lower == pytest.approx(single.upper - single.lower, rel=0.1)


def test_what_cannot_be_evaluated_is_refused_with_the_reason(call: Call, archive: Path, model: Path) -> None:
    assert "there is nothing to compare with" in call("evaluate", "heart_chambers", archive).sentence
    assert "encoding" in call("evaluate", "encoder", archive).sentence
    assert "its sites are A, B" in call("evaluate", model, archive, "--site", "Z").sentence
