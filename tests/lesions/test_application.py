"""The application on examinations of heads that never were, by a model trained for seconds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from casewise import formats
from casewise.applications.brain_lesions import BrainLesions
from casewise.case import Case
from casewise.errors import CasewiseError, ModelError
from casewise.finding import Finding
from casewise.header import Header
from casewise.image import Box, Image
from casewise.lesions import train_lesions
from casewise.training.metrics import dice
from tests.cli.conftest import Call
from tests.lesions.conftest import LARGE, brain, plan
from tests.lesions.test_archives import volume


@pytest.fixture(scope="module")
def folder(patients: list[Case], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_lesions(patients, "tiny", plan()).save(tmp_path_factory.mktemp("model") / "m")


def test_lesions_are_reported_with_volume_place_kind_mask_and_maps(folder: Path, tmp_path: Path) -> None:
    image, mask = brain(40, LARGE)
    application = BrainLesions("cpu", tmp_path, folder)
    whole, *others = application.analyze(image)
    assert (whole.label, whole.application) == ("lesions", "brain-lesions")
    assert whole.mask is not None and whole.map is not None
    assert dice(formats.read_mask(whole.mask, image), mask) > 0.4
    drawn = formats.read(whole.map)
    assert drawn.spatial_shape == image.spatial_shape
    assert np.allclose(drawn.affine, image.affine, atol=1e-3)
    assert float(drawn.array.min()) >= 0 and float(drawn.array.max()) <= 1
    labels = [finding.label for finding in others]
    (kind,) = (finding for finding in others if finding.scores)
    assert set(kind.scores) == {"large", "small"} and kind.label == max(kind.scores, key=lambda name: kind.scores[name])
    assert whole.probability is not None and whole.probability >= 0.5 and whole.box == lesion_box(others)
    assert labels[-2:] == ["lesions on FLAIR", "lesions on T1"]
    first = next(finding for finding in others if finding.label == "lesion 1")
    assert first.box is not None
    middle = [(low + high - 1) / 2 for low, high in zip(first.box.lower, first.box.upper, strict=True)]
    centre = [first.measures[f"centre_{axis}_mm"] for axis in "ras"]
    assert np.linalg.norm(image.affine[:3] @ [*middle, 1] - centre) < 20
    assert whole.measures["volume_ml"] >= first.measures["volume_ml"] > 0
    assert application.notes == []


def lesion_box(findings: list[Finding]) -> Box | None:
    return next(finding.box for finding in findings if finding.label == "lesion 1")


def test_missing_sequences_are_named_and_what_cannot_be_classified_is_named(folder: Path) -> None:
    application = BrainLesions("cpu", None, folder)
    image, _ = brain(41, LARGE)
    application.analyze(Image(image.array[:1], image.affine, Header(sequences=("FLAIR",))))
    assert application.notes == ["Predicted from FLAIR; missing: T1."]
    array = np.stack([np.zeros_like(image.array[0]), image.array[1]])
    findings = application.analyze(replace(image, array=array, header=Header(sequences=("FLAIR", "T1"), absent=("FLAIR",))))
    assert application.notes[0] == "Predicted from T1; missing: FLAIR."
    assert "large" not in [finding.label for finding in findings]


def test_a_single_volume_is_taken_for_what_its_header_says(folder: Path) -> None:
    application = BrainLesions("cpu", None, folder)
    image, _ = volume(42, LARGE, "FLAIR")
    named = replace(image, header=replace(image.header, sequence="t2_tirm_tra_dark-fluid_FLAIR"))
    assert application.analyze(named)[-1].label == "lesions on FLAIR"
    assert application.analyze(replace(image, header=Header(), source=Path("p1_t2flair.nii.gz")))[-1].label == "lesions on FLAIR"
    assert application.notes[0] == "Taken for FLAIR by the name of its file."
    for described in ("", "ep2d_diff_b1000"):  # nothing was looked for, which must not read as nothing found
        with pytest.raises(CasewiseError, match=r"takes FLAIR or T1; the sequence .* Name it by --sequence, such as FLAIR=FILE"):
            application.analyze(replace(image, header=Header(sequence=described)))


def test_a_picture_another_model_and_none_of_the_sequences_are_refused(folder: Path, tmp_path: Path) -> None:
    application = BrainLesions("cpu", None, folder)
    with pytest.raises(CasewiseError, match="takes volumes"):
        application.analyze(Image(np.zeros((1, 20, 20), np.float32)))
    image, _ = brain(43, LARGE)
    with pytest.raises(CasewiseError, match="None of the sequences FLAIR, T1 is there"):
        application.analyze(replace(image, header=Header(sequences=("ADC", "T2"))))
    with pytest.raises(ModelError, match="There is no model at"):
        BrainLesions("cpu", None, tmp_path / "none").analyze(image)


def test_analyze_shows_each_sequences_map_and_the_class(call: Call, folder: Path, tmp_path: Path) -> None:
    files = [formats.write(tmp_path / f"{name}.nii.gz", volume(44, LARGE, name)[0]) for name in ("FLAIR", "T1")]
    table = (
        '[[application]]\nname = "own-lesions"\ncategories = ["on request"]\nfeatures = ["lesions"]\n'
        'python = "casewise.applications.brain_lesions:BrainLesions"\nsequences = ["FLAIR", "T1"]\n'
        f'settings = {{ device = "cpu", maps = ".", model = "{folder}" }}\n'
    )
    (tmp_path / "own.toml").write_text(table, encoding="utf-8")
    words = [word for name, path in zip(("FLAIR", "T1"), files, strict=True) for word in ("--sequence", f"{name}={path}")]
    words += ["--application", "own-lesions", "--applications", str(tmp_path / "own.toml"), "-o", str(tmp_path / "out")]
    done = call("analyze", *words, "--register", "none", "--json")
    assert done.code == 0, done.err
    (result,) = cast("list[dict[str, Any]]", done.document)
    reported = {finding["label"]: finding for finding in result["findings"]}
    assert {"lesions", "lesion 1", "lesions on FLAIR", "lesions on T1"} <= set(reported)
    assert {"large", "small"} & set(reported)
    assert Path(reported["lesions"]["mask"]).is_file()
    page = Path(result["report"]).read_text(encoding="utf-8")
    for title in ("all sequences together", "FLAIR alone", "T1 alone"):
        assert f'alt="Map by {title}"' in page
    assert "Registration check" in page


def test_the_shipped_model_takes_what_it_is_declared_for() -> None:
    from casewise.applications.brain_lesions import SEQUENCES
    from casewise.applications.builtin import BUILT_IN
    from casewise.lesions.prediction import sequences_of
    from casewise.models.shipped import load

    (declared,) = (known for known in BUILT_IN if known.name == "brain-lesions")
    assert declared.sequences == SEQUENCES == sequences_of(load("brain_lesions"))
    assert declared.features == tuple(load("brain_lesions").spec.classes[1:])
    with pytest.raises(CasewiseError, match=r"brain-lesions is for a brain without its skull.*remove the skull first"):
        BrainLesions("cpu").analyze(brain(45, LARGE)[0])
    application = BrainLesions("cpu", intended_only=False)
    whole, *others = application.analyze(brain(45, LARGE)[0])
    assert whole.label == "lesions"
    assert others[-1].label == "lesions on T1"
