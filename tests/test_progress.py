"""Who takes long says how far it is: every part once, in order, in the caller's thread, from nothing to all."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from casewise import formats
from casewise.adaptation import Plan, refine, subsets
from casewise.adaptation.label_fusion import FusionSettings, fuse_labels
from casewise.archive import Archive
from casewise.cli.progress import Bars
from casewise.examination.examination import examination
from casewise.examination.reading import Source
from casewise.registration.batched import Level, RegistrationSettings
from casewise.training import Settings
from tests.discs import disc, disc_case, segmenter
from tests.examination.phantom import head

QUICK = Settings(steps=3, batch=2, augmentation="none", device="cpu")


class Told:
    """Remembers what it is told, by step."""

    def __init__(self) -> None:
        self.steps: dict[str, list[tuple[int, int | None]]] = {}
        self.notes: dict[str, set[str]] = {}

    def __call__(self, step: str, done: int, total: int | None = None, note: str = "", /) -> None:
        assert threading.current_thread() is threading.main_thread()
        self.steps.setdefault(step, []).append((done, total))
        self.notes.setdefault(step, set()).add(note)


def counted(total: int) -> list[tuple[int, int]]:
    return [(done, total) for done in range(total + 1)]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archive") / "discs"
    with Archive.open(folder, create=True) as opened:
        for number in range(8):
            image, mask = disc(number)
            opened.add(image, {"disc": mask}, subject=str(number))
    return folder


@pytest.mark.parametrize("way", ["rigid", "none"])
def test_of_an_examination_each_sequence_is_reported_of(tmp_path: Path, way: str) -> None:
    names = ("FLAIR", "T1", "T2")
    files = tuple(
        (name, formats.write(tmp_path / f"{name}.nii.gz", head(name, shape=(40, 44, 20), voxel=4.5, seed=n)))
        for n, name in enumerate(names)
    )
    reported = Told()
    found = examination(Source(files=files, way=way), progress=reported)
    assert found.names == names
    expected = {"Reading sequences": counted(3), "Correcting bias fields": counted(3)}
    assert reported.steps == (expected if way == "none" else {**expected, "Registering sequences": counted(2)})
    assert reported.notes["Correcting bias fields"] == {"", *names}
    assert reported.notes.get("Registering sequences", {"", "T1", "T2"}) == {"", "T1", "T2"}


def test_refining_on_similar_cases_tells_of_vectors_and_steps(archive: Path) -> None:
    reported, again = Told(), Told()
    plan = Plan(k=4, held_out=2, settings=QUICK, label_fusion=False)
    with Archive.open(archive) as opened:
        refine(segmenter(), disc(50)[0], opened, plan=plan, progress=reported)
        refine(segmenter(), disc(50)[0], opened, plan=plan, progress=again)
    assert reported.steps == {"Embedding": [(0, 8), (8, 8)], "Refining on similar cases": counted(3)[1:]}
    assert set(again.steps) == {"Refining on similar cases"}  # the vectors are there


def test_a_vote_tells_of_the_cases_registered() -> None:
    reported = Told()
    quick = FusionSettings(registration=RegistrationSettings(levels=(Level(24, 2),), window=7, measured=32))
    fuse_labels(segmenter(), disc(50)[0], [disc_case(number) for number in range(3)], quick, reported)
    assert reported.steps == {"Registering similar cases": [(0, 3), (3, 3)]}


def test_subsets_tell_of_the_cases_encoded_and_the_models_refined(archive: Path, tmp_path: Path) -> None:
    reported = Told()
    with Archive.open(archive) as opened:
        made = subsets.build(opened, segmenter(), tmp_path, k=2, settings=QUICK, progress=reported)
    assert reported.steps == {"Encoding cases": [(0, 8), (8, 8)], "Refining subsets": counted(len(made.subsets))}


def test_a_bar_begins_anew_with_the_next_image(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with Bars() as bars:
        for _ in range(2):
            for done in range(3):
                bars("Registering", done, 2)
        assert bars._progress is not None
        (task,) = bars._progress.tasks
        assert task.finished
        bars("Registering", 0, 2)
        assert (task.completed, task.finished) == (0, False)
    assert capfd.readouterr().out == ""
