"""A DICOM node as an application: its objects come back as findings, and nothing of another patient does."""

from __future__ import annotations

import hashlib
import json
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread

from casewise.applications.declared import Declared
from casewise.applications.node_run import NodeRun
from casewise.applications.outcome import Done, Job, JobResult
from casewise.applications.runner import Runner
from casewise.cli import main
from casewise.finding import ABSENT, FINDING, MEASURE
from casewise.formats import read, read_mask
from casewise.formats.dicom.write_segmentation import write_segmentation
from casewise.image import Box
from tests.dicom_studies import Series, errors_in, film, oblique_mr
from tests.formats.report_making import (
    ABSENT as NOT_THERE,
)
from tests.formats.report_making import (
    CERTAINTY,
    PERCENT,
    Code,
    capture,
    group,
    measured,
    region,
    report,
    saved,
)
from tests.orthanc import free_port
from tests.programs import missing

SCRIPT = Path(__file__).with_name("dicom_node.py")
LESION, NODE_SECONDS = Code("52988006", "SCT", "Lesion"), 60.0


class Node:
    """A node that runs. folder : with its plan; ``sent`` in it holds what it was sent."""

    def __init__(self, folder: Path, port: int, reply: int) -> None:
        self.folder, self.port, self.reply = folder, port, reply

    def plan(self, *batches: dict[str, Any], **more: Any) -> None:
        plan = {"title": "CAD", "port": self.port, "reply": ["CASEWISE", "127.0.0.1", self.reply], "batches": batches, **more}
        (self.folder / "plan.json").write_text(json.dumps(plan))

    def declared(self, seconds: float = NODE_SECONDS, **keys: Any) -> Declared:
        keys = {"quiet_seconds": 1.0, **keys}
        return Declared("cad", ("*",), ("f",), NodeRun(f"CAD@127.0.0.1:{self.port}", self.reply, **keys), seconds=seconds)

    @property
    def sent(self) -> list[Path]:
        return sorted((self.folder / "sent").glob("*.dcm"))

    @property
    def log(self) -> list[str]:
        """What became of each batch so far."""
        path = self.folder / "log"
        return path.read_text().splitlines() if path.exists() else []


@contextmanager
def running(folder: Path, *batches: dict[str, Any], **more: Any) -> Iterator[Node]:
    """A node that answers every association with these batches; it is given its plan when it starts."""
    folder.mkdir()
    node = Node(folder, free_port(), free_port())
    node.plan(*batches, **more)
    process = subprocess.Popen([sys.executable, str(SCRIPT), str(folder / "plan.json")])
    try:
        until = time.monotonic() + 60
        while not (folder / "ready").exists():
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.05)
        yield node
    finally:
        process.kill()
        process.wait()


def batch(*files: Path, **more: Any) -> dict[str, Any]:
    return {"files": [str(path) for path in files], **more}


def run(runner: Runner, source: Path, declared: Declared, kept: Path) -> JobResult:
    (ran,) = runner.run([Job(source, read(source), (declared,), kept, "chest X-ray")])
    return ran


def done(ran: JobResult) -> Done:
    (outcome,) = ran.outcomes
    assert isinstance(outcome, Done), outcome
    return outcome


def reason(ran: JobResult) -> str:
    (failure,) = ran.failures
    assert failure.reason.endswith(".")
    assert "\n" not in failure.reason
    return failure.reason


@pytest.fixture
def chest(tmp_path: Path) -> Series:
    return film(tmp_path / "chest", rows=60, columns=50)


@pytest.fixture
def mr(tmp_path: Path) -> Series:
    return oblique_mr(tmp_path / "mr", 8)


def nodule(series: Series, target: Path, **more: Any) -> Path:
    """A report with one nodule on a film."""
    drawn = region(series.files[0], "POLYLINE", [(10, 20), (10, 30), (25, 30), (20, 18), (10, 20)])
    numbers = [measured(CERTAINTY, 87, PERCENT), measured(Code("42798000", "SCT", "Area"), 3.5, Code("mm2", "UCUM", "mm2"))]
    return report(target, series.files, [group(drawn, measurements=numbers)], **more)


def test_segmentation_report_and_picture_over_several_associations(runner: Runner, mr: Series, tmp_path: Path) -> None:
    image = read(mr.folder)
    other = np.zeros_like(mr.mask)
    other[2:9, 5:20, 1:3] = True
    seg = write_segmentation(tmp_path / "a.dcm", {"lesion": mr.mask, "hippocampus": other}, image)
    instance = dcmread(mr.files[0])
    drawn = region(mr.files[3], "CIRCLE", [(50, 26), (50, 27)])
    sr = report(
        tmp_path / "b.dcm",
        mr.files,
        [group(drawn, finding=LESION, measurements=[measured(CERTAINTY, 64, PERCENT)])],
        evaluations=[(Code("50960005", "SCT", "Hemorrhage"), NOT_THERE)],
    )
    colours = np.zeros((40, 30, 3), np.uint8)
    colours[..., 1] = 200
    sc = capture(tmp_path / "c.dcm", mr.files[0], colours)
    with running(tmp_path / "node", batch(seg), batch(sr, after=0.3), batch(sc, after=0.3), batch(seg, after=0.1)) as node:
        ran = done(run(runner, mr.folder, node.declared(), tmp_path / "kept"))
        assert {dcmread(path).SOPInstanceUID for path in node.sent} == {dcmread(path).SOPInstanceUID for path in mr.files}
        sent = next(path for path in node.sent if path.stem == instance.SOPInstanceUID)
        assert dcmread(sent).PatientName == instance.PatientName  # as it is, with the patient's header
        assert node.log == ["[0]"] * 4
    found = {finding.label: finding for finding in ran.findings}
    assert set(found) == {"lesion", "hippocampus", "hemorrhage"}
    lesion, organ, absent = found["lesion"], found["hippocampus"], found["hemorrhage"]
    assert (lesion.kind, lesion.probability, lesion.application) == (FINDING, 0.64, "cad")
    assert lesion.mask is not None
    np.testing.assert_array_equal(read_mask(lesion.mask, image), mr.mask)  # of the segment in which the report's region lies
    assert lesion.box == Box.around(mr.mask)
    assert (organ.kind, organ.probability) == (MEASURE, None)
    assert organ.mask is not None
    np.testing.assert_array_equal(read_mask(organ.mask, image), other)
    assert (absent.kind, absent.mask, absent.box) == (ABSENT, None, None)
    assert "It sent a picture, which is kept as picture-1.png." in ran.notes
    pixels = read(tmp_path / "kept" / "cad" / "picture-1.png").array
    assert pixels[:, 5, 5].tolist() == [0, 200, 0]
    assert {path.name for path in ran.files} >= {"segmentation-1.dcm", "report-1.dcm", "picture-1.png"}


def test_a_film_and_its_report(runner: Runner, chest: Series, tmp_path: Path) -> None:
    with running(tmp_path / "node", batch(nodule(chest, tmp_path / "sr.dcm"))) as node:
        (finding,) = done(run(runner, chest.folder, node.declared(), tmp_path / "kept")).findings
    assert (finding.label, finding.kind, finding.probability) == ("nodule", FINDING, 0.87)
    assert finding.measures == {"area_mm2": 3.5}
    assert finding.box is not None
    assert finding.mask is not None
    mask = read_mask(finding.mask, read(chest.folder))
    assert mask[25, 15]
    assert not mask[35, 15]
    assert Box.around(mask) == finding.box


def test_results_of_another_patient_are_refused(runner: Runner, chest: Series, tmp_path: Path) -> None:
    other = film(tmp_path / "other", rows=60, columns=50, PatientID="SOMEBODY-ELSE")
    of_other = nodule(other, tmp_path / "a.dcm")
    pretends = capture(tmp_path / "b.dcm", chest.files[0], np.zeros((4, 4, 3), np.uint8), PatientID="SOMEBODY-ELSE")
    elsewhere = capture(tmp_path / "c.dcm", other.files[0], np.zeros((4, 4, 3), np.uint8), refers=False, PatientID="")
    own = nodule(chest, tmp_path / "d.dcm")
    with running(tmp_path / "node", batch(of_other, pretends, elsewhere, own)) as node:
        ran = done(run(runner, chest.folder, node.declared(), tmp_path / "kept"))
    assert [finding.label for finding in ran.findings] == ["nodule"]
    assert {path.name for path in ran.files} == {"report-1.dcm", "region-1-1.nii.gz"}
    notes = " ".join(ran.notes)
    assert "Results of another patient were refused (2)." in notes
    assert "Results of another study that name no image were refused (1)." in notes
    assert "SOMEBODY" not in notes


def test_a_picture_that_names_nothing_is_taken_from_its_own_study(runner: Runner, chest: Series, tmp_path: Path) -> None:
    sc = capture(tmp_path / "c.dcm", chest.files[0], np.zeros((4, 4, 3), np.uint8), refers=False)
    with running(tmp_path / "node", batch(sc)) as node:
        ran = done(run(runner, chest.folder, node.declared(), tmp_path / "kept"))
    assert ran.findings == ()
    assert ran.notes == ("It sent a picture, which is kept as picture-1.png.",)


def test_only_other_images_are_no_answer(runner: Runner, chest: Series, tmp_path: Path) -> None:
    other = film(tmp_path / "other", rows=60, columns=50, study_uid=chest.study_uid)
    with running(tmp_path / "node", batch(nodule(other, tmp_path / "a.dcm"))) as node:
        said = reason(run(runner, chest.folder, node.declared(seconds=10), tmp_path / "kept"))
    assert said == (
        "cad sent no result of this image within 8 s. Results that name other images than those that were sent were refused (1)."
    )


def test_a_node_that_never_answers(runner: Runner, chest: Series, tmp_path: Path) -> None:
    with running(tmp_path / "node") as node:
        began = time.monotonic()
        said = reason(run(runner, chest.folder, node.declared(seconds=10), tmp_path / "kept"))
        assert time.monotonic() - began < 30
        assert node.sent
    assert said == "cad sent no result of this image within 8 s."


def test_a_node_that_is_down(runner: Runner, chest: Series, tmp_path: Path) -> None:
    node = Node(tmp_path, free_port(), free_port())
    said = reason(run(runner, chest.folder, node.declared(), tmp_path / "kept"))
    assert said.startswith(f"cad did not take the image: CAD@127.0.0.1:{node.port} cannot be reached")


def test_what_comes_late_is_waited_for_where_it_is_declared(runner: Runner, chest: Series, tmp_path: Path) -> None:
    sc = capture(tmp_path / "c.dcm", chest.files[0], np.zeros((4, 4, 3), np.uint8))
    sr = nodule(chest, tmp_path / "a.dcm")
    with running(tmp_path / "node", batch(sc), batch(sr, after=3)) as node:
        declared = node.declared(seconds=240, quiet_seconds=0.5, results=("sr", "capture"))
        began = time.monotonic()
        ran = done(run(runner, chest.folder, declared, tmp_path / "kept"))
        assert time.monotonic() - began < 120  # at once, when one of each is there
    assert [finding.label for finding in ran.findings] == ["nodule"]


def test_declared_results_that_do_not_come(runner: Runner, chest: Series, tmp_path: Path) -> None:
    with running(tmp_path / "node", batch(nodule(chest, tmp_path / "a.dcm"))) as node:
        said = reason(run(runner, chest.folder, node.declared(seconds=10, results=("seg", "sr")), tmp_path / "kept"))
    assert said == "cad sent a structured report but no segmentation within 8 s, so that its results are not complete."


def test_an_open_association_keeps_the_answer_open(runner: Runner, chest: Series, tmp_path: Path) -> None:
    """quiet_seconds count from the end of the association, and what it sends last is taken too."""
    other = chest.files[0]
    sc = capture(tmp_path / "c.dcm", other, np.zeros((4, 4, 3), np.uint8))
    with running(tmp_path / "node", batch(sc, hold=2.5), batch(nodule(chest, tmp_path / "a.dcm"))) as node:
        ran = done(run(runner, chest.folder, node.declared(quiet_seconds=1.0), tmp_path / "kept"))
    assert [finding.label for finding in ran.findings] == ["nodule"]


def test_garbage_is_a_sentence(runner: Runner, mr: Series, tmp_path: Path) -> None:
    seg = dcmread(write_segmentation(tmp_path / "a.dcm", {"lesion": mr.mask}, read(mr.folder)))
    seg.PixelData = seg.PixelData[:10]
    saved(seg, tmp_path / "b.dcm")
    with running(tmp_path / "node", batch(tmp_path / "b.dcm")) as node:
        said = reason(run(runner, mr.folder, node.declared(), tmp_path / "kept"))
    assert said.startswith("cad sent a segmentation that cannot be used: segmentation-1.dcm")
    assert str(tmp_path) not in said


def test_a_segmentation_on_another_grid_is_refused(runner: Runner, mr: Series, tmp_path: Path) -> None:
    seg = dcmread(write_segmentation(tmp_path / "a.dcm", {"lesion": mr.mask}, read(mr.folder)))
    for frame in seg.PerFrameFunctionalGroupsSequence:
        position = frame.PlanePositionSequence[0]
        position.ImagePositionPatient = [float(x) + 0.6 for x in position.ImagePositionPatient]
    saved(seg, tmp_path / "b.dcm")
    with running(tmp_path / "node", batch(tmp_path / "b.dcm")) as node:
        said = reason(run(runner, mr.folder, node.declared(), tmp_path / "kept"))
    assert "another grid" in said


def test_only_the_declared_node_may_send(runner: Runner, chest: Series, tmp_path: Path) -> None:
    sr = nodule(chest, tmp_path / "a.dcm")
    with running(tmp_path / "node", batch(sr, calling="STRANGER"), batch(sr, after=0.2)) as node:
        done(run(runner, chest.folder, node.declared(), tmp_path / "kept"))
        assert node.log == ["refused", "[0]"]
        declared = node.declared(answers_from="STRANGER", quiet_seconds=1.5)
        done(run(runner, chest.folder, declared, tmp_path / "kept"))
        assert node.log[2] == "[0]"


def test_two_images_at_once_over_one_port(chest: Series, tmp_path: Path) -> None:
    """Each call has the port for itself, in one process and over two; every image gets its own results."""
    other = film(tmp_path / "other", rows=60, columns=50, PatientID="SECOND")
    files = [nodule(chest, tmp_path / "a.dcm"), nodule(other, tmp_path / "b.dcm")]
    found: dict[str, JobResult] = {}
    with running(tmp_path / "node", batch(*files, after=0.5)) as node, Runner(2) as first, Runner(2) as second:

        def go(name: str, runner: Runner, source: Path) -> None:
            found[name] = run(runner, source, node.declared(), tmp_path / name)

        calls = [("1", first, chest.folder), ("2", first, other.folder), ("3", second, chest.folder), ("4", second, other.folder)]
        threads = [threading.Thread(target=go, args=call) for call in calls]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for name in ("1", "2", "3", "4"):
        ran = done(found[name])
        assert [finding.label for finding in ran.findings] == ["nodule"]
        assert "Results of another patient were refused (1)." in ran.notes


def test_a_port_that_another_program_holds(runner: Runner, chest: Series, tmp_path: Path) -> None:
    node = Node(tmp_path, free_port(), free_port())
    with socket.create_server(("127.0.0.1", node.reply)):
        said = reason(run(runner, chest.folder, node.declared(seconds=8), tmp_path / "kept"))
    assert f"cannot be answered: No DICOM receiver can listen on 127.0.0.1:{node.reply}" in said


def test_dicom_images_alone(runner: Runner, picture: Path, tmp_path: Path) -> None:
    node = Node(tmp_path, free_port(), free_port())
    said = reason(run(runner, picture, node.declared(), tmp_path / "kept"))
    assert said == "cad takes DICOM images alone, and this image is none; give the files that came from the device."


def test_the_image_s_own_file_is_sent_of_many_in_one_folder(runner: Runner, chest: Series, tmp_path: Path) -> None:
    """Two films of one series lie in one folder, where the second is chosen by its name."""
    second = film(
        chest.folder,
        rows=60,
        columns=50,
        study_uid=chest.study_uid,
        series_uid=chest.series_uid,
        name="second.dcm",
        ViewPosition="LL",
    )
    uids = {str(dcmread(path).SOPInstanceUID): path for path in (*chest.files, *second.files)}
    for number in (1, 2):
        member = f"{chest.series_uid}#{number}"
        image = read(chest.folder, member)
        with running(tmp_path / f"node-{number}") as node:
            job = Job(chest.folder, image, (node.declared(seconds=10),), tmp_path / "kept", "chest X-ray", member)
            list(runner.run([job]))
            (sent,) = node.sent
        np.testing.assert_array_equal(dcmread(sent).pixel_array, image.array[0])
        assert dcmread(sent).ViewPosition == image.header.view
        assert sent.stem in uids


def test_anonymous_copies_are_sound_and_answers_find_their_image(runner: Runner, chest: Series, tmp_path: Path) -> None:
    original = dcmread(chest.files[0])
    name = f"casewise-{hashlib.sha256(chest.study_uid.encode()).hexdigest()[:16]}"
    sc = capture(tmp_path / "c.dcm", chest.files[0], np.zeros((4, 4, 3), np.uint8), PatientID=name)
    sr = dcmread(nodule(chest, tmp_path / "a.dcm"))
    sr.PatientID = name
    saved(sr, tmp_path / "b.dcm")
    with running(tmp_path / "node", batch(sc, tmp_path / "b.dcm")) as node:
        ran = done(run(runner, chest.folder, node.declared(anonymous=True), tmp_path / "kept"))
        (sent,) = node.sent
        copy = dcmread(sent)
        assert errors_in(sent) == []
    assert [finding.label for finding in ran.findings] == ["nodule"]
    assert (copy.SOPInstanceUID, copy.StudyInstanceUID) == (original.SOPInstanceUID, original.StudyInstanceUID)
    assert copy.PatientName == copy.PatientID == name
    content = sent.read_bytes()
    for keyword in ("PatientName", "PatientID", "PatientBirthDate"):
        assert str(original[keyword].value).encode("utf-8") not in content
        assert str(original[keyword].value).encode("latin-1") not in content
    np.testing.assert_array_equal(copy.pixel_array, original.pixel_array)


def test_results_over_tls(runner: Runner, chest: Series, tmp_path: Path) -> None:
    """Both ways, each side with a certificate of its own that the other knows; without one nobody is let in."""
    pem, key = certificate(tmp_path)
    tls = {"certificate": str(pem), "key": str(key), "ca": str(pem)}
    sr = nodule(chest, tmp_path / "a.dcm")
    with running(tmp_path / "node", batch(sr), key=[str(pem), str(key)]) as node:
        ran = done(run(runner, chest.folder, node.declared(tls=tls), tmp_path / "kept"))
        assert [finding.label for finding in ran.findings] == ["nodule"]
        said = reason(run(runner, chest.folder, node.declared(), tmp_path / "kept"))
        assert said.startswith("cad did not take the image")
    with running(tmp_path / "plain", batch(sr)) as node:
        said = reason(run(runner, chest.folder, node.declared(seconds=10, tls=tls), tmp_path / "kept"))
        assert said.startswith("cad did not take the image")


def certificate(folder: Path) -> tuple[Path, Path]:
    """PEM files of 127.0.0.1, signed by itself."""
    pem, key = folder / "own.pem", folder / "own.key"
    program = shutil.which("openssl") or missing("openssl")
    words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(pem)]
    subprocess.run([program, *words, *names], check=True, capture_output=True)
    return pem, key


def test_programs_of_dcmtk_as_a_node(runner: Runner, mr: Series, tmp_path: Path) -> None:
    """storescp takes the series, and sends a segmentation back by storescu when the study's instances are there."""
    storescp, storescu = (shutil.which(name) or missing("dcmtk") for name in ("storescp", "storescu"))
    port, reply = free_port(), free_port()
    seg = write_segmentation(tmp_path / "seg.dcm", {"lesion": mr.mask}, read(mr.folder))
    answer = tmp_path / "answer.sh"
    answer.write_text(f'#!/bin/sh\nexec "{storescu}" -R -aet CAD -aec CASEWISE 127.0.0.1 {reply} "{seg}"\n')
    answer.chmod(0o755)
    (tmp_path / "in").mkdir()
    words = [storescp, "-aet", "CAD", "-od", str(tmp_path / "in"), "-ss", "study", "-xcs", str(answer), "-tos", "1", str(port)]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 60
        while not listens(port):
            assert time.monotonic() < until
            time.sleep(0.1)
        node = Node(tmp_path, port, reply)
        (finding,) = done(run(runner, mr.folder, node.declared(), tmp_path / "kept")).findings
    finally:
        process.kill()
        process.wait()
    assert len(list((tmp_path / "in").glob("*/*"))) == len(mr.files)
    assert finding.mask is not None
    np.testing.assert_array_equal(read_mask(finding.mask, read(mr.folder)), mr.mask)


def listens(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0


def test_the_report_displays_what_the_node_found(chest: Series, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sr = nodule(chest, tmp_path / "a.dcm")
    with running(tmp_path / "node", batch(sr)) as node:
        path = tmp_path / "hospital.toml"
        path.write_text(
            '[[application]]\nname = "cad"\ncategories = ["*"]\nfeatures = ["nodules"]\n'
            f'node = "CAD@127.0.0.1:{node.port}"\nreply_port = {node.reply}\nquiet_seconds = 1\n'
        )
        assert main(["applications", "--applications", str(path)]) == 0
        assert f"DICOM node CAD@127.0.0.1:{node.port}" in capsys.readouterr().out
        words = ["analyze", str(chest.files[0]), "--application", "cad", "--applications", str(path)]
        assert main([*words, "--output", str(tmp_path / "reports"), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert "nodule" in json.dumps(answer)
    (page,) = (tmp_path / "reports").rglob("*.html")
    text = page.read_text()
    assert "nodule" in text
    assert "87" in text
