"""Programs, containers and services: the folder contract, no shell, and every way they can go wrong."""

from __future__ import annotations

import json
import os
import stat
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import pydicom
import pytest
from pydicom.data import get_testdata_file

from casewise.applications.declared import CommandRun, ContainerRun, Declared, EndpointRun, Run
from casewise.applications.isolated.commands import command_argv, container_argv
from casewise.applications.outcome import Done, Job, JobResult
from casewise.applications.registry import default_registry
from casewise.applications.runner import Runner
from casewise.formats import read
from tests.applications.isolated.behaviours import confined

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"


@pytest.fixture
def dicom(tmp_path: Path) -> Path:
    path = tmp_path / "images" / "ct.dcm"
    path.parent.mkdir()
    path.write_bytes(Path(str(get_testdata_file("CT_small.dcm"))).read_bytes())
    return path


def declared(run: Run, name: str = "outside", seconds: float = 20, **settings: object) -> Declared:
    return Declared(name, ("*",), ("f",), run, "", settings, seconds)


def script(source: str, name: str = "outside", seconds: float = 20, **settings: object) -> Declared:
    """A program: Python source, which gets its in and out folders as ``inside`` and ``out``."""
    head = "import os, sys, json, time, subprocess; from pathlib import Path; inside, out = map(Path, sys.argv[1:3])\n"
    return declared(CommandRun((sys.executable, "-c", head + source, "{in}", "{out}")), name, seconds, **settings)


def run(runner: Runner, path: Path, *applications: Declared) -> JobResult:
    (ran,) = runner.run([Job(path, read(path), applications, path.parent.parent / "out", "chest CT")])
    return ran


def reason(ran: JobResult) -> str:
    (failure,) = ran.failures
    assert failure.reason.endswith(".")
    assert "\n" not in failure.reason
    return failure.reason


def test_a_command_written_for_mercure_runs_unchanged(runner: Runner, dicom: Path) -> None:
    known = default_registry([EXAMPLES / "applications.toml"]).get("brightness")
    assert isinstance(known.run, CommandRun)
    known = replace(known, run=replace(known.run, argv=(sys.executable, *known.run.argv[1:])))
    ran = run(runner, dicom, known)
    (done,) = ran.outcomes
    assert isinstance(done, Done), done
    (finding,) = done.findings
    assert finding.label == "result"
    dataset = pydicom.dcmread(dicom)
    assert finding.measures == {"instances": 1, "mean": pytest.approx(dataset.pixel_array.mean()), "bright": 1}
    assert done.notes == ("1 of 1 instances are bright",)
    assert {path.name for path in done.files} == {"means.csv", "result.json"}
    assert dataset.SOPInstanceUID in (ran.job.folder / "brightness" / "means.csv").read_text()


def test_a_mercure_container_entry_point_in_shell_runs_unchanged(runner: Runner, dicom: Path, tmp_path: Path) -> None:
    """Copies what comes in and adds a result that holds no number, as mercure's own dummy modules do."""
    program = tmp_path / "entrypoint.sh"
    program.write_text(
        '#!/usr/bin/env bash\nset -Eeo pipefail\ncp -r "$MERCURE_IN_DIR"/. "$MERCURE_OUT_DIR"\n'
        'echo \'{"foo": "bar", "__mercure_notification": {"text": "all well"}}\' > "$MERCURE_OUT_DIR/result.json"\n'
    )
    program.chmod(0o755)
    (done,) = run(runner, dicom, declared(CommandRun((str(program),)))).outcomes
    assert isinstance(done, Done), done
    assert [finding.label for finding in done.findings] == ["result"]
    assert done.notes == ("foo: bar", "all well")
    header = pydicom.dcmread(dicom)
    assert f"{header.SeriesInstanceUID}#{header.SOPInstanceUID}.dcm" in {path.name for path in done.files}


def test_findings_with_a_mask_and_settings(runner: Runner, dicom: Path) -> None:
    source = """
import pydicom
task = json.loads((inside / "task.json").read_text())
(path,) = inside.glob("*.dcm")
assert os.environ["CASEWISE_IN_DIR"] == os.environ["MERCURE_IN_DIR"] == str(inside)
assert os.environ["CASEWISE_OUT_DIR"] == os.environ["MERCURE_OUT_DIR"] == str(out)
import nibabel, numpy
mask = numpy.zeros((128, 128), "uint8"); mask[10:20, 30:50] = 1
from casewise.formats import read, write_mask
write_mask(out / "mask.nii.gz", mask, read(path))
finding = {"label": "nodule", "probability": task["process"]["settings"]["threshold"], "box": [[10, 20], [30, 50]],
           "mask": "mask.nii.gz", "measures": {"area_mm2": 3}, "region": task["info"]["category"]}
(out / "result.json").write_text(json.dumps({"findings": [finding], "notes": ["seen"]}))
"""
    ran = run(runner, dicom, script(source, threshold=0.25))
    assert not ran.failures
    (finding,) = ran.findings
    assert (finding.application, finding.label, finding.probability, finding.region) == ("outside", "nodule", 0.25, "chest CT")
    assert finding.mask == ran.job.folder / "outside" / "mask.nii.gz"
    assert finding.box is not None
    assert finding.box.to_json() == [[10, 20], [30, 50]]


def test_other_formats_come_as_they_are(runner: Runner, picture: Path) -> None:
    source = "names = sorted(p.name for p in inside.iterdir())\n(out / 'result.json').write_text(json.dumps({'n': names}))"
    (done,) = run(runner, picture, script(source)).outcomes
    assert isinstance(done, Done)
    assert done.notes == ("n_1: picture.png", "n_2: task.json")


def test_a_program_sees_no_secrets_of_this_process(runner: Runner, picture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", "secret")
    monkeypatch.setenv("LICENCE_SERVER", "here")
    source = "(out / 'result.json').write_text(json.dumps({k: os.environ.get(k, '-') for k in ('SOME_TOKEN', 'LICENCE_SERVER')}))"
    known = script(source)
    assert isinstance(known.run, CommandRun)
    (done,) = run(runner, picture, replace(known, run=replace(known.run, environment=("LICENCE_SERVER",)))).outcomes
    assert isinstance(done, Done)
    assert done.notes == ("SOME_TOKEN: -", "LICENCE_SERVER: here")


def test_no_shell_reads_the_words(runner: Runner, picture: Path, tmp_path: Path) -> None:
    words = ("echo", "$(touch", f"{tmp_path}/made)", ";", "touch", f"{tmp_path}/made")
    (done,) = run(runner, picture, declared(CommandRun(words))).outcomes
    assert isinstance(done, Done)
    assert done.notes == ("It wrote no result.json.",)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("print('the disk is full'); sys.exit(3)", "exit code 3"),
        ("os.kill(os.getpid(), 9)", "signal 9"),
        ("(out / 'result.json').write_bytes(b'\\xff{')", "not JSON"),
        ("(out / 'result.json').write_text('[' * 100000)", "not JSON"),
        ("(out / 'result.json').write_text('3')", "a number, where an object or a list"),
        ("(out / 'result.json').write_text('{\"findings\": 3}')", "a number, where a list"),
        ('(out / \'result.json\').write_text(\'[{"label": "a", "probability": NaN}]\')', "the probability nan"),
        ('(out / \'result.json\').write_text(\'[{"label": "a", "box": [[0, 2], [1.5, 3]]}]\')', "the box"),
        ('(out / \'result.json\').write_text(\'[{"label": "a", "mask": "/etc/passwd"}]\')', "outside its folder"),
        ("(out / 'result.json').symlink_to('/etc/hostname')", "not a file that can be read"),
        ("os.mkfifo(out / 'result.json')", "not a file"),
        ("(out / 'result.json').mkdir()", "not a file"),
    ],
)
def test_each_wrong_answer_of_a_program_is_one_sentence(runner: Runner, picture: Path, source: str, words: str) -> None:
    assert words in reason(run(runner, picture, script(source)))


def test_what_a_failed_program_said_is_kept_for_this_user_alone(runner: Runner, picture: Path) -> None:
    (failure,) = run(runner, picture, script("print('the disk is full'); sys.exit(3)")).failures
    assert failure.log is not None
    assert failure.log.read_text() == "the disk is full\n"
    assert stat.S_IMODE(failure.log.stat().st_mode) == 0o600
    assert "disk" not in failure.reason


def test_a_program_that_is_not_there(runner: Runner, picture: Path) -> None:
    assert "the program no-such-program is not there" in reason(run(runner, picture, declared(CommandRun(("no-such-program",)))))


def test_what_a_program_leaves_running_is_ended(runner: Runner, picture: Path) -> None:
    source = "subprocess.Popen(['sleep', '611'], start_new_session=True); subprocess.Popen(['sleep', '612'])"
    ran = run(runner, picture, script(source))
    assert not ran.failures
    assert _sleeping("611", "612") == []


def test_a_program_that_hangs_is_ended_with_what_it_started(runner: Runner, picture: Path) -> None:
    source = "subprocess.Popen(['sleep', '613'], start_new_session=True); time.sleep(600)"
    assert "stopped after 1.5 s" in reason(run(runner, picture, script(source, seconds=1.5)))
    assert _sleeping("613") == []


@pytest.mark.skipif(not confined, reason="this kernel cannot hold a process to its folder")
def test_a_program_cannot_write_outside_its_folder(runner: Runner, picture: Path, tmp_path: Path) -> None:
    before = picture.read_bytes()
    places = [str(tmp_path / "new.txt"), str(picture)]
    source = "\n".join(
        f"try:\n Path({place!r}).write_text('x')\nexcept OSError as error: print(error)\nelse: print('wrote')" for place in places
    )
    (failure,) = run(runner, picture, script(source + "\nsys.exit(1)")).failures
    assert failure.log is not None
    said = failure.log.read_text()
    assert said.count("Permission denied") + said.count("Read-only file system") == 2
    assert picture.read_bytes() == before
    assert not (tmp_path / "new.txt").exists()


def test_what_a_program_does_to_its_copy_does_not_reach_the_image(runner: Runner, dicom: Path) -> None:
    before = dicom.read_bytes()
    ran = run(runner, dicom, script("[p.write_bytes(b'') for p in inside.iterdir()]"))
    assert not ran.failures
    assert dicom.read_bytes() == before


def test_links_in_the_out_folder_are_left_behind(runner: Runner, picture: Path) -> None:
    (done,) = run(runner, picture, script("(out / 'a').symlink_to('/etc'); (out / 'b.txt').write_text('b')")).outcomes
    assert isinstance(done, Done)
    assert [path.name for path in done.files] == ["b.txt"]
    assert any("left behind" in note for note in done.notes)
    assert not os.path.lexists(done.files[0].with_name("a"))


def test_words_are_filled_in(tmp_path: Path) -> None:
    words = {"argv": ("./bin/x", "{here}/a", "--in={in}", "{out}", "{other}"), "here": tmp_path}
    argv = command_argv(words, Path("/i"), Path("/o"))
    assert argv == [str(tmp_path / "bin/x"), f"{tmp_path}/a", "--in=/i", "/o", "{other}"]


def test_a_container_gets_no_network_no_rights_and_limits() -> None:
    run = {"image": "hospital/x:1", "arguments": ("--fast",), "runtime": "podman", "environment": ("LICENCE",)}
    argv = container_argv(run, Path("/a/in"), Path("/a/out"), "casewise-1", 2000)
    assert argv[:2] == ["podman", "run"]
    assert argv[-2:] == ["hospital/x:1", "--fast"]
    pairs = list(pairwise(argv))
    for pair in (
        ("--network", "none"),
        ("--cap-drop", "ALL"),
        ("--security-opt", "no-new-privileges"),
        ("--memory", "2000m"),
        ("--name", "casewise-1"),
        ("--volume", "/a/in:/tmp/data:ro"),
        ("--volume", "/a/out:/tmp/output:rw"),
        ("--env", "MERCURE_IN_DIR=/tmp/data"),
        ("--env", "CASEWISE_OUT_DIR=/tmp/output"),
        ("--env", "LICENCE"),
    ):
        assert pair in pairs


RUNTIME = """#!{python}
import sys, os, time, json
from pathlib import Path
record = Path({record!r})
with record.open("a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
if sys.argv[1] == "ps":
    print("abc123")
elif sys.argv[1] == "run":
    out = next(word for word in sys.argv if word.endswith(":/tmp/output:rw")).split(":")[0]
    if "hang" in sys.argv:
        time.sleep(600)
    if "eat" in sys.argv:
        sys.exit(137)
    Path(out, "result.json").write_text('[{{"label": "seen"}}]')
"""


def test_containers_through_a_runtime(runner: Runner, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record, folder = tmp_path / "record.txt", tmp_path / "bin"
    folder.mkdir()
    (folder / "docker").write_text(RUNTIME.format(python=sys.executable, record=str(record)))
    (folder / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    good = declared(ContainerRun("x"), "good")
    hangs = declared(ContainerRun("x", ("hang",)), "hangs", seconds=1.5)
    eats = declared(ContainerRun("x", ("eat",)), "eats")
    ran = run(runner, picture, good, hangs, eats)
    assert [finding.label for finding in ran.findings] == ["seen"]
    sentences = {failure.application: failure.reason for failure in ran.failures}
    assert "stopped after 1.5 s" in sentences["hangs"]
    assert "memory limit" in sentences["eats"]
    calls = [json.loads(line) for line in record.read_text().splitlines()]
    assert ["rm", "--force", "abc123"] in calls
    assert sum(call[0] == "run" for call in calls) == 3


class _Service(BaseHTTPRequestHandler):
    seen: ClassVar[list[tuple[dict[str, str], bytes]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        type(self).seen.append((dict(self.headers), body))
        if self.path == "/slow":
            time.sleep(4)
            return
        answers = {
            "/good": (200, b'{"findings": [{"label": "seen", "probability": 0.5}], "notes": ["n"]}'),
            "/rubbish": (200, b"<html>"),
            "/mask": (200, b'[{"label": "a", "mask": "m.png"}]'),
            "/moved": (302, b""),
            "/closed": (401, b"who are you"),
            "/slow": (200, b"[]"),
        }
        code, answer = answers[self.path]
        self.send_response(code)
        if code == 302:
            self.send_header("Location", "/good")
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Service)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


def test_a_service_gets_voxels_and_gives_findings(
    runner: Runner, service: str, dicom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVICE_TOKEN", "abc")
    ran = run(runner, dicom, declared(EndpointRun(f"{service}/good", "SERVICE_TOKEN"), threshold=0.3))
    assert [(finding.application, finding.label, finding.probability) for finding in ran.findings] == [("outside", "seen", 0.5)]
    headers, body = _Service.seen[-1]
    assert headers["Authorization"] == "Bearer abc"
    assert b'"settings": {"threshold": 0.3}' in body
    header = pydicom.dcmread(dicom)
    assert str(header.PatientName).encode() not in body
    assert dicom.name.encode() not in body
    voxels = body.split(b"image.nii.gz")[1].split(b"\r\n\r\n", 1)[1].rsplit(b"\r\n--", 1)[0]
    sent = tmp_path / "sent.nii.gz"
    sent.write_bytes(voxels)
    assert (read(sent).array.squeeze() == read(dicom).array.squeeze()).all()


def test_a_service_gets_the_file_where_that_was_declared(runner: Runner, service: str, dicom: Path) -> None:
    run(runner, dicom, declared(EndpointRun(f"{service}/good", send="file")))
    assert dicom.read_bytes() in _Service.seen[-1][1]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/rubbish", "its answer is not JSON"),
        ("/mask", "names a file"),
        ("/moved", "a redirect (HTTP 302)"),
        ("/closed", "HTTP 401"),
        ("/slow", "stopped after 1.5 s"),
    ],
)
def test_each_wrong_answer_of_a_service_is_one_sentence(runner: Runner, service: str, picture: Path, path: str, words: str) -> None:
    assert words in reason(run(runner, picture, declared(EndpointRun(service + path), seconds=1.5 if path == "/slow" else 20)))


def test_a_service_that_is_not_there_and_a_token_that_is_not_set(runner: Runner, picture: Path) -> None:
    assert "cannot be reached" in reason(run(runner, picture, declared(EndpointRun("http://127.0.0.1:9/x"))))
    known = declared(EndpointRun("https://example.org/x", "NO_SUCH_TOKEN"))
    assert "set the variable NO_SUCH_TOKEN" in reason(run(runner, picture, known))


def _sleeping(*seconds: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        found += [second for second in seconds if words[:2] == [b"sleep", second.encode()]]
    return found
