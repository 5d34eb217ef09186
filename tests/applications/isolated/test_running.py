"""Applications side by side: whatever one of them does, the others' findings stand and nothing is left running."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from casewise.applications.declared import Declared, PythonRun
from casewise.applications.outcome import Done, Failure, Job, JobResult
from casewise.applications.runner import Runner
from casewise.confinement import processes as table
from casewise.finding import SegmentPicture
from casewise.formats import read, read_mask
from casewise.image import Box
from tests.applications.isolated.behaviours import confined

HERE = "tests.applications.isolated.behaviours"


def python(target: str, name: str = "", seconds: float = 20, memory_mb: float = 4000, **settings: object) -> Declared:
    name = name or target.lower().replace("_", "-")
    return Declared(name, ("*",), ("f",), PythonRun(f"{HERE}:{target}"), "", settings, seconds, memory_mb=memory_mb)


GOOD = python("Bright")


def job(path: Path, *applications: Declared, category: str = "chest X-ray") -> Job:
    return Job(path, read(path), applications, path.parent.parent / "out" / path.stem, category)


def one(runner: Runner, path: Path, *applications: Declared) -> JobResult:
    (ran,) = runner.run([job(path, *applications)])
    return ran


def reason(ran: JobResult, name: str) -> str:
    (failure,) = [failure for failure in ran.failures if failure.application == name]
    assert failure.reason.startswith(f"{name} ")
    assert failure.reason.endswith(".")
    assert "\n" not in failure.reason
    return failure.reason


OURS = f"LC_CASEWISE_TESTS={uuid.uuid4().hex}"
os.environ["LC_CASEWISE_TESTS"] = OURS.removeprefix("LC_CASEWISE_TESTS=")


def marked(of: str = OURS) -> list[int]:
    """Processes of any runner of this test process, found by what they were started with and not by who their parents are.

    of : what else stands in their environment; programs, which are handed little of it, have the mark alone.
    """
    found = []
    for entry in table.entries():
        try:
            words = Path(f"/proc/{entry.pid}/environ").read_bytes()
        except OSError:
            continue
        if f"{table.MARK}=".encode() in words and of.encode() in words:
            found.append(entry.pid)
    return found


def test_several_features_of_one_image(runner: Runner, picture: Path) -> None:
    ran = one(runner, picture, GOOD, python("Bright", "twice", factor=2.0), python("Masks"))
    assert [outcome.application for outcome in ran.outcomes] == ["bright", "twice", "masks"]
    assert not ran.failures
    mean = read(picture).array.mean()
    assert [finding.application for finding in ran.findings] == ["bright", "twice", "masks"]
    assert ran.findings[0].measures["mean"] == pytest.approx(mean)
    assert ran.findings[1].measures["mean"] == pytest.approx(2 * mean)
    assert ran.findings[0].region == "chest X-ray"
    assert len({finding.measures["made"] for finding in ran.findings[:2]}) == 2
    assert all(outcome.seconds > 0 for outcome in ran.outcomes)


def test_masks_are_kept_on_the_images_grid(runner: Runner, picture: Path) -> None:
    ran = one(runner, picture, python("Masks"))
    (finding,) = ran.findings
    image = read(picture)
    assert finding.mask == ran.job.folder / "masks" / "deep" / "bright.png"
    assert (read_mask(finding.mask, image) == (image.array[0] > image.array.mean())).all()
    (done,) = ran.outcomes
    assert isinstance(done, Done)
    assert done.files == (finding.mask,)


def test_a_segment_and_its_picture_come_back(runner: Runner, picture: Path) -> None:
    ran = one(runner, picture, python("Segmented"))
    (finding,) = ran.findings
    path = ran.job.folder / "segmented" / "segment.png"
    assert finding.segment == SegmentPicture("left lung", Box((2, 3), (12, 18)), 1.0, path)
    assert (read(path).array == read(picture).array[:, 2:12, 3:18]).all()
    assert finding.to_json()["segment"] == {"region": "left lung", "box": [[2, 12], [3, 18]], "scale": 1.0, "picture": str(path)}


def test_a_process_is_used_for_the_next_image(runner: Runner, picture: Path) -> None:
    known = python("Bright", "counting")
    findings = [ran.findings[0].measures for ran in runner.run(job(picture, known) for _ in range(6))]
    assert len({found["made"] for found in findings}) <= runner.workers
    assert max(found["seen"] for found in findings) >= 3


def test_jobs_are_taken_as_there_is_room_and_come_back_in_order(runner: Runner, picture: Path) -> None:
    taken: list[int] = []

    def jobs() -> Iterator[Job]:
        for number in range(12):
            taken.append(number)
            yield replace(job(picture, GOOD), tag=number)

    most, tags = 0, []
    for ran in runner.run(jobs(), ahead=3):
        tags.append(ran.job.tag)
        most = max(most, len(taken) - len(tags))
    assert tags == list(range(12))
    assert most <= 3


def test_an_image_without_applications_passes(runner: Runner, picture: Path) -> None:
    ran = one(runner, picture)
    assert ran.outcomes == ()


def test_one_that_sleeps_for_ever_is_stopped_with_its_children(runner: Runner, picture: Path) -> None:
    began, tag = time.monotonic(), f"sleeper-{uuid.uuid4().hex}"  # other tests' sleepers may be alive
    ran = one(runner, picture, python("Sleeps", seconds=1.0, tag=tag), GOOD)
    assert "stopped after 1 s" in reason(ran, "sleeps")
    assert time.monotonic() - began < 15
    assert [finding.application for finding in ran.findings] == ["bright"]
    sleepers = [pid for pid in marked(of="") if tag.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()]
    assert sleepers == []


def test_one_that_is_never_ready_is_stopped(runner: Runner, picture: Path) -> None:
    ran = one(runner, picture, replace(python("slow_start"), start_seconds=1.5), GOOD)
    assert "not ready within 1.5 s" in reason(ran, "slow-start")
    assert len(ran.findings) == 1


def test_one_that_eats_memory_is_stopped(runner: Runner, picture: Path) -> None:
    ran = one(runner, picture, python("Eats", memory_mb=400), GOOD)
    sentence = reason(ran, "eats")
    assert "MB of memory" in sentence
    assert "400 MB" in sentence
    assert len(ran.findings) == 1


def test_one_that_raises_is_reported_with_its_error_and_its_traceback_kept(runner: Runner, picture: Path) -> None:
    ran = one(runner, picture, python("Raises"), GOOD)
    assert reason(ran, "raises") == "raises failed with RuntimeError: the network has 3 channels."
    (failure,) = ran.failures
    assert failure.log is not None
    assert "in analyze" in failure.log.read_text()
    assert failure.log.stat().st_mode & 0o077 == 0
    assert len(ran.findings) == 1


def test_those_that_end_by_themselves(runner: Runner, picture: Path) -> None:
    ran = one(runner, picture, python("Exits"), python("Segfaults"), GOOD)
    assert "exit code 7" in reason(ran, "exits")
    assert "signal 11" in reason(ran, "segfaults")
    assert len(ran.findings) == 1


def test_one_that_talks_is_heard_out_and_stdout_stays_clean(
    runner: Runner, picture: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    ran = one(runner, picture, python("Prints"))
    assert not ran.failures
    assert "chatter" not in capfd.readouterr().out


RUBBISH = {
    "none": "NoneType, where a list of findings",
    "words": "item 1 is str",
    "label": "the label 3",
    "nan": "the probability nan",
    "probability": "the probability 1.5",
    "measure": "volume_ml",
    "nan box": "the box",
    "far box": "within 0 to 60",
    "thick box": "the box",
    "unwritten": "did not write",
    "outside": "outside its folder",
    "absolute": "outside its folder",
    "object": "region",
}


def test_rubbish_is_named_and_the_next_image_done(runner: Runner, picture: Path) -> None:
    jobs = []
    for answer in RUBBISH:
        path = picture.with_name(f"{answer.replace(' ', '-')}.png")
        path.write_bytes(picture.read_bytes())
        jobs.append(replace(job(path, python("Garbage")), tag=answer))
    for ran in runner.run(jobs):
        assert RUBBISH[str(ran.job.tag)] in reason(ran, "garbage")
        assert not ran.findings


def test_rubbish_leaves_the_others_findings(runner: Runner, picture: Path) -> None:
    ran = one(runner, picture, python("Garbage"), GOOD, python("Links"), python("WrongGrid"), python("Segmented", cut=1))
    assert "link" in reason(ran, "links")
    assert "grid" in reason(ran, "wronggrid")
    assert "a segment's picture of another shape" in reason(ran, "segmented")
    assert [finding.application for finding in ran.findings] == ["bright"]


@pytest.mark.skipif(not confined, reason="this kernel cannot hold a process to its folder")
def test_one_that_writes_outside_its_folder_cannot(runner: Runner, picture: Path, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere.txt"
    ran = one(runner, picture, python("WritesOutside", path=str(target)), GOOD)
    sentence = reason(ran, "writesoutside")
    assert str(target) in sentence
    assert "its own folder only" in sentence
    assert not target.exists()
    before = picture.read_bytes()
    assert str(picture) in reason(one(runner, picture, python("WritesOutside", "original", path=str(picture))), "original")
    assert picture.read_bytes() == before
    assert len(ran.findings) == 1


def test_changing_the_voxels_changes_nothing_for_the_others(runner: Runner, picture: Path) -> None:
    many = [job(picture, python("Overwrites"), GOOD) for _ in range(3)]
    means = [finding.measures["mean"] for ran in runner.run(many) for finding in ran.findings]
    assert means == pytest.approx([read(picture).array.mean()] * 3)


def test_what_cannot_be_loaded_is_named(runner: Runner, picture: Path) -> None:
    known = [
        replace(GOOD, name="no-module", run=PythonRun("no_such_module_here:Thing")),
        replace(GOOD, name="no-object", run=PythonRun(f"{HERE}:Thing")),
        python("not_an_application"),
        python("made", factor=2.0),
        python("Bright", "settings", no_such_setting=1),
        python("made", "instance"),
    ]
    ran = one(runner, picture, *known)
    assert "no_such_module_here is not installed" in reason(ran, "no-module")
    assert "has no Thing" in reason(ran, "no-object")
    assert "neither a class" in reason(ran, "not-an-application")
    assert "takes no settings" in reason(ran, "made")
    assert "no_such_setting" in reason(ran, "settings")
    assert [finding.application for finding in ran.findings] == ["instance"]


def test_closing_in_the_middle_leaves_no_process_and_no_file(picture: Path) -> None:
    before = set(marked())
    made = Runner(workers=2)
    running = made.run(job(picture, GOOD, python("Sleeps", seconds=60)) for _ in range(3))
    made._executor.submit(time.sleep, 0)
    import threading

    threading.Timer(2.0, made._supervision.stopping.set).start()
    ran = next(running)
    assert "because casewise was" in reason(ran, "sleeps")
    made.close()
    assert set(marked()) <= before
    assert not made._supervision.scratch.path.exists()


SCRIPT = f"""
import sys, threading, os, signal
from pathlib import Path
from casewise.applications.declared import Declared, PythonRun
from casewise.applications.outcome import Job
from casewise.applications.runner import Runner
from casewise.formats import read
path = Path(sys.argv[1])
known = Declared("sleeps", ("*",), ("f",), PythonRun("{HERE}:Sleeps"))
runner = Runner(workers=1)
threading.Timer(2.5, lambda: (print("killing", flush=True), os.kill(os.getpid(), signal.SIGKILL))).start()
list(runner.run([Job(path, read(path), (known,), path.parent)]))
"""


def test_nothing_outlives_a_killed_casewise(picture: Path) -> None:
    before = set(marked())
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(picture)], env=environment, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL
    for _ in range(50):
        left = set(marked()) - before
        if not left:
            break
        time.sleep(0.1)
    assert left == set()


def test_outcomes_as_json(runner: Runner, picture: Path) -> None:
    ran = one(runner, picture, GOOD, python("Raises"))
    documents = json.loads(json.dumps([outcome.to_json() for outcome in ran.outcomes]))
    assert [document["failure"] is None for document in documents] == [True, False]
    assert isinstance(ran.outcomes[1], Failure)


def test_what_a_killed_casewise_left_behind_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    left, young, others = (tmp_path / name for name in ("casewise-run-left", "casewise-run-young", "elsewhere"))
    for folder in (left, young, others):
        folder.mkdir()
        (folder / "lock").touch()
        (folder / "image-1.npy").touch()
    with Runner(workers=1) as held:
        for folder in (left, others, held._supervision.scratch.path):
            os.utime(folder, (0, 0))
        with Runner(workers=1):
            assert not left.exists()
            assert young.exists()
            assert others.exists()
            assert held._supervision.scratch.path.exists()
