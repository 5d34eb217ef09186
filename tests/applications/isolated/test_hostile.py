"""Applications that attack: each is one failure or a mended finding, nothing of others is touched, and others' findings stand."""

from __future__ import annotations

import json
import os
import socket
import stat
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casewise.applications.declared import CommandRun, Declared, EndpointRun, PythonRun
from casewise.applications.isolated.answers import checked, findings_of_result, parse
from casewise.applications.isolated.directory import Directory, copied, listed
from casewise.applications.outcome import ApplicationError, Done, Job, JobResult
from casewise.applications.runner import Runner
from casewise.confinement import processes, protections
from casewise.formats import read

HEAD = """
import json, os, signal, sys, time
from pathlib import Path
inside, out = map(Path, sys.argv[1:3])
def answer(findings): (out / "result.json").write_text(json.dumps({"findings": findings}))
"""
linux = pytest.mark.skipif(sys.platform != "linux", reason="Linux alone confines")


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    (tmp_path / "victim" / "out").mkdir(parents=True)
    path = tmp_path / "victim" / "out" / "keep.txt"
    path.write_text("precious")
    path.chmod(0o640)
    return path


def script(source: str, name: str = "hostile", seconds: float = 20, memory_mb: float = 4000, **words: str) -> Declared:
    argv = (sys.executable, "-c", HEAD + source, "{in}", "{out}", *words.values())
    return Declared(name, ("*",), ("f",), CommandRun(argv), "", {}, seconds, memory_mb=memory_mb)


GOOD = script("answer([{'label': 'fine'}])", "good")


def run(runner: Runner, path: Path, *applications: Declared) -> JobResult:
    (ran,) = runner.run([Job(path, read(path), applications, path.parent.parent / "results", "chest CT")])
    return ran


def reason(ran: JobResult) -> str:
    (failure,) = ran.failures
    assert failure.reason.endswith(".")
    assert "\n" not in failure.reason
    failure.reason.encode("utf-8")
    return failure.reason


def kept_alone(victim: Path) -> None:
    assert victim.read_text() == "precious"
    assert stat.S_IMODE(victim.stat().st_mode) == 0o640
    assert [path.name for path in victim.parent.iterdir()] == ["keep.txt"]
    assert [path.name for path in victim.parents[1].iterdir()] == ["out"]


LINKS = {
    "out": "out.rename(f'{out}-old'); out.symlink_to(sys.argv[3])",
    "task": "out.parent.rename(f'{out.parent}-old'); out.parent.symlink_to(Path(sys.argv[3]).parent); answer([])",
    "out again": "out.rename(f'{out}-old'); out.mkdir(); answer([])",
    "behind": """
answer([])
if os.fork() == 0:
    os.setsid()
    while True:
        try: out.rename(f'{out}-old'); out.symlink_to(sys.argv[3]); os._exit(0)
        except OSError: pass
time.sleep(0.3)""",
}


@pytest.mark.parametrize("how", LINKS)
def test_a_link_in_the_place_of_its_folder_is_not_followed(runner: Runner, picture: Path, victim: Path, how: str) -> None:
    ran = run(runner, picture, script(LINKS[how], victim=str(victim.parent)), GOOD)
    assert "put something else in the place" in reason(ran)
    kept_alone(victim)
    assert not any("precious" in path.read_text() for path in (picture.parent.parent / "results").rglob("*") if path.is_file())
    assert [finding.label for finding in ran.findings] == ["fine"]


OTHERS = {
    "link": "(out / 'x').symlink_to(sys.argv[3] + '/keep.txt')",
    "link to a folder": "(out / 'x').symlink_to(sys.argv[3])",
    "hard link": "(out.parent / 'y').write_text('a'); os.link(out.parent / 'y', out / 'x')",
    "pipe": "os.mkfifo(out / 'x')",
    "socket": "import socket; socket.socket(socket.AF_UNIX).bind(os.path.relpath(out / 'x'))",
    "no text": "(Path(os.fsdecode(os.fsencode(out) + b'/x\\xff'))).write_text('a')",
}


@pytest.mark.parametrize("what", OTHERS)
def test_only_files_are_taken(runner: Runner, picture: Path, victim: Path, what: str) -> None:
    source = OTHERS[what] + "\n(out / 'deep').mkdir(); (out / 'deep' / 'a.txt').write_text('a'); answer([{'label': 'seen'}])"
    (done,) = run(runner, picture, script(source, victim=str(victim.parent))).outcomes
    assert isinstance(done, Done), done
    assert sorted(path.name for path in done.files) == ["a.txt", "result.json"]
    assert any("1 links or other things" in note for note in done.notes)
    json.dumps(done.to_json(), ensure_ascii=False).encode("utf-8")
    kept_alone(victim)


def test_a_link_that_lay_in_the_results_is_not_written_through(runner: Runner, picture: Path, victim: Path) -> None:
    results = picture.parent.parent / "results"
    results.mkdir()
    (results / "hostile").symlink_to(victim.parent)
    assert "cannot be run" in reason(run(runner, picture, script("(out / 'keep.txt').write_text('gone'); answer([])")))
    kept_alone(victim)


@pytest.mark.parametrize("length", [250, 255])
def test_a_name_as_long_as_names_can_be(runner: Runner, picture: Path, length: int) -> None:
    (done,) = run(runner, picture, script(f"(out / ('x' * {length})).write_text('a'); answer([{{'label': 'fine'}}])")).outcomes
    assert isinstance(done, Done), done
    assert [finding.label for finding in done.findings] == ["fine"]
    assert {len(path.name) for path in done.files} == {length, 11}
    assert all(path.read_bytes() for path in done.files)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("for n in range(10_500): (out / str(n)).touch()", "more than 10,000 files"),
        ("for n in range(40): os.mkdir('d'); os.chdir('d')", "nested more than 32 deep"),
        ("for n in range(1100): os.mkdir('d'); os.chdir('d')", "nested more than 32 deep"),
        ("(out / 'a').touch(); os.truncate(out / 'a', 15 << 30); (out / 'b').touch(); os.truncate(out / 'b', 15 << 30)", "bytes"),
    ],
)
def test_too_much_is_refused_and_removed(runner: Runner, picture: Path, source: str, words: str) -> None:
    assert words in reason(run(runner, picture, script(f"os.chdir(out)\n{source}\nanswer([]) if out.exists() else 0")))


ANSWERS = {
    '{"findings": [{"label": "\\ud800"}]}': "the label",
    '{"findings": [{"label": "a", "region": "b\\udfff"}]}': "the region",
    '{"findings": [{"label": "a", "mask": "\\udc41.png"}]}': "impossible path",
    '{"findings": [{"label": "a", "measures": {"\\ud800": 1}}]}': "the measure",
    '{"findings": [{"label": "a", "measures": {"a": NaN}}]}': "the measure",
    '{"findings": [{"label": "a", "probability": Infinity}]}': "the probability",
    '{"findings": [{"label": "a", "probability": 0.1, "probability": 0.9}]}': "twice",
    '{"findings": [], "findings": [{"label": "a"}]}': "twice",
    '{"findings": [{"label": "a", "box": [[0, ' + "9" * 4000 + "], [0, 1]]}]}": "the box",
    '{"findings": [{"label": "a", "box": [[0, ' + "9" * 5000 + "], [0, 1]]}]}": "not JSON",
    '{"findings": [{"label": ' + "[" * 900 + "]" * 900 + "}]}": "the label",
    "[" * 100_000: "nested too deeply",
    '{"findings": [{"label": {"a": 1}}]}': "the label",
    '{"findings": [{"label": "a", "segment": {"box": [[0, 9], [0, 9]], "picture": "a.png"}}]}': "the segment",
    '{"findings": [{"label": "a", "segment": {"region": "r", "box": [[0, 9], [0, 99]], "picture": "a.png"}}]}': "the segment",
    '{"findings": [{"label": "a", "segment": {"region": "\\ud800", "box": [[0, 9], [0, 9]], "picture": "a"}}]}': "the segment",
    '{"findings": [{"label": "a", "segment": {"region": "r", "box": [[0, 9], [0, 9]], "picture": "a", "scale": 0.5}}]}': "to 1",
    '{"findings": [{"label": "a", "segment": {"region": "r", "box": [[0, 9], [0, 9]], "picture": "../a"}}]}': "outside its folder",
    '{"findings": {"label": "a"}}': "a list is allowed",
    '{"findings": [{"label": "a"}], "notes": [3]}': "a list of texts",
    '{"findings": [null]}': "nothing",
    '"' + "a" * (20 << 20) + '"': "allowed are",
    '{"findings": [' + '{"label": "a"},' * 10_001 + '{"label": "a"}]}': "allowed are 10,000",
    "\x00\xff": "not JSON",
    "": "not JSON",
}


@pytest.mark.parametrize("number", range(len(ANSWERS)))
def test_an_answer_that_is_none_is_one_sentence(tmp_path: Path, number: int) -> None:
    text = list(ANSWERS)[number]
    content = text.encode("latin-1")
    (tmp_path / "result.json").write_bytes(content)
    with Directory.open(tmp_path) as folder, pytest.raises(ApplicationError) as caught:
        checked(findings_of_result(parse(folder.read("result.json", 8 << 20), "result.json"))[0], "a", (40, 60), tmp_path, ())
    assert ANSWERS[text] in str(caught.value)
    str(caught.value).encode("utf-8")


def test_answers_that_are_none_leave_the_others(runner: Runner, picture: Path) -> None:
    for text in ('{"findings": [{"label": "\\ud800"}]}', "[" * 100_000, '"' + "a" * (20 << 20) + '"'):
        source = (
            f"(out / 'result.json').write_text({text!r})"
            if len(text) < 1000
            else "(out / 'result.json').write_text('[' * (20 << 20))"
        )
        ran = run(runner, picture, script(source), GOOD)
        reason(ran)
        assert [finding.label for finding in ran.findings] == ["fine"]


def test_signs_that_cannot_be_displayed_are_left_out(runner: Runner, picture: Path) -> None:
    source = "answer([{'label': '\\x1b[31mred\\n', 'region': ' left\\u202e lung '}])"
    (finding,) = run(runner, picture, script(source)).findings
    assert (finding.label, finding.region) == ("[31mred", "left lung")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec=None), max_size=6), inner, max_size=4),
    max_leaves=12,
)
KEYS = st.sampled_from(["label", "probability", "region", "box", "mask", "map", "measures", "segment"])


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(
        JSON, st.fixed_dictionaries({"findings": st.lists(st.dictionaries(KEYS, JSON, max_size=7), max_size=3), "notes": JSON})
    )
)
def test_any_document_is_findings_or_one_clause(document: object) -> None:
    try:
        findings, notes = findings_of_result(parse(json.dumps(document).encode(), "result.json"))
        found = checked(findings, "a", (40, 60), Path("/nowhere"), [("mask.png",)])
    except ApplicationError as error:
        assert "\n" not in str(error)
        str(error).encode("utf-8")
    else:
        reported = json.dumps([[finding.to_json() for finding in found], notes], ensure_ascii=False, allow_nan=False)
        assert reported.encode("utf-8")


@linux
def test_what_left_its_session_ends_with_its_call(runner: Runner, picture: Path) -> None:
    source = """
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execve("/bin/sleep", ["/bin/sleep", "119.25"], {})
    os._exit(0)
time.sleep(0.5)
answer([{"label": "left"}])
"""
    ran = run(runner, picture, script(source))
    assert [finding.label for finding in ran.findings] == ["left"]
    assert [entry.pid for entry in processes.entries() if b"119.25" in _words(entry.pid)] == []


@linux
def test_memory_of_what_left_its_session_counts(runner: Runner, picture: Path) -> None:
    source = """
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        code = "import time; b = bytearray(400 << 20); b[::4096] = b'1' * len(b[::4096]); time.sleep(30)"
        os.execve(sys.executable, [sys.executable, "-S", "-c", code], {})
    os._exit(0)
time.sleep(15)
answer([])
"""
    ran = run(runner, picture, script(source, memory_mb=350), GOOD)
    assert "its limit is 350 MB" in reason(ran)
    assert [finding.label for finding in ran.findings] == ["fine"]


@linux
@pytest.mark.skipif(not protections().signals, reason="this system cannot hold signals")
@pytest.mark.parametrize("number", [2, 9, 15])
def test_casewise_is_not_signalled(runner: Runner, picture: Path, number: int) -> None:
    """The supervisor, which the program sees, and this process, by its number in the whole system."""
    source = f"""
above = int(open(f"/proc/{{os.getppid()}}/stat").read().rsplit(")", 1)[1].split()[1])
try:
    os.kill(int(sys.argv[3]), {number})
except OSError:
    pass
os.kill(above, {number})
answer([])
"""
    ran = run(runner, picture, script(source, pid=str(os.getpid())), GOOD)
    assert "exit code 1" in reason(ran)
    (failure,) = ran.failures
    assert failure.log is not None
    assert "PermissionError" in failure.log.read_text()
    assert [finding.label for finding in ran.findings] == ["fine"]


def test_what_floods_is_heard_and_forgotten(runner: Runner, picture: Path) -> None:
    source = "[os.write(n, b'chatter ' * 8192) for _ in range(400) for n in (1, 2)]; sys.exit(3)"
    ran = run(runner, picture, script(source))
    (failure,) = ran.failures
    assert failure.log is not None
    assert failure.log.stat().st_size <= 64 << 10


def test_no_secret_is_handed_on(runner: Runner, picture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_SECRET_ACCESS_KEY", "PGPASSWORD", "GITHUB_TOKEN", "CASEWISE_SECRET"):
        monkeypatch.setenv(name, "s3cr3t")
    monkeypatch.setenv("NAMED", "s3cr3t")
    source = "answer([{'label': name} for name, value in os.environ.items() if value == 's3cr3t'] or [{'label': 'none'}])"
    assert [finding.label for finding in run(runner, picture, script(source)).findings] == ["none"]
    here = "tests.applications.isolated.behaviours"
    alone = Declared("alone", ("*",), ("f",), PythonRun(f"{here}:Secrets"))
    named = Declared("named", ("*",), ("f",), PythonRun(f"{here}:Secrets", ("NAMED",)))
    assert [finding.label for finding in run(runner, picture, alone, named).findings] == ["none", "NAMED"]


@pytest.mark.parametrize("how", ["rubbish", "link", "pipe", "lies", "deep"])
def test_a_python_application_that_writes_its_own_answer(runner: Runner, picture: Path, victim: Path, how: str) -> None:
    """It runs in the worker itself, and may do there whatever it likes."""
    known = Declared(
        "forger",
        ("*",),
        ("f",),
        PythonRun("tests.applications.isolated.behaviours:Forger"),
        "",
        {"how": how, "victim": str(victim)},
    )
    ran = run(runner, picture, known, GOOD)
    reason(ran)
    kept_alone(victim)
    assert [finding.label for finding in ran.findings] == ["fine"]


SERVICES = {
    b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n" + b"[" * (9 << 20): "more than",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n": "cannot be reached",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n[": "broke off",
    b"HTTP/1.1 200 OK\r\n" + b"".join(b"A%d: b\r\n" % n for n in range(200)) + b"\r\n": "cannot be reached",
    b"HTTP/1.1 307 Away\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n": "redirect",
    b"\x00\x01\x02": "cannot be reached",
    b'HTTP/1.1 200 OK\r\nContent-Length: 24\r\n\r\n[{"label": "\\ud800"}]    ': "the label",
}


@pytest.mark.parametrize("number", range(len(SERVICES)))
def test_a_service_that_answers_with_what_is_none(runner: Runner, picture: Path, number: int) -> None:
    sent = list(SERVICES)[number]
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_serve, args=(server, sent), daemon=True).start()
        run_ = EndpointRun(f"http://127.0.0.1:{server.getsockname()[1]}/")
        assert SERVICES[sent] in reason(run(runner, picture, Declared("service", ("*",), ("f",), run_, seconds=20)))


def _serve(server: socket.socket, sent: bytes) -> None:
    connection, _ = server.accept()
    with connection:
        connection.settimeout(0.3)
        try:
            while connection.recv(1 << 16):
                pass
        except TimeoutError:
            pass
        try:
            connection.settimeout(5)
            connection.sendall(sent)
        except OSError:
            return


def test_a_file_that_changes_while_it_is_copied_is_not_another(tmp_path: Path) -> None:
    """Between the look and the copy a link is put there."""
    (tmp_path / "from").mkdir()
    (tmp_path / "to").mkdir()
    (tmp_path / "victim").write_text("precious")
    for place in ("a.txt", "deep/a.txt"):
        path = tmp_path / "from" / place
        path.parent.mkdir(exist_ok=True)
        path.write_text("a")
    with Directory.open(tmp_path / "from") as origin, Directory.open(tmp_path / "to") as target:
        files = listed(origin).files
        (tmp_path / "from" / "a.txt").unlink()
        (tmp_path / "from" / "a.txt").symlink_to(tmp_path / "victim")
        with pytest.raises(OSError, match="symbolic"):
            copied([files[0]], origin, target)
        (tmp_path / "from" / "deep").rename(tmp_path / "from" / "other")
        (tmp_path / "from" / "deep").symlink_to(tmp_path)
        with pytest.raises(OSError, match=r"symbolic|directory"):
            copied([files[1]], origin, target)
    assert not any(path.is_file() for path in (tmp_path / "to").rglob("*"))


def test_a_folder_is_removed_however_it_was_made(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "keep.txt").write_text("precious")
    (tmp_path / "own").mkdir()
    here = Path.cwd()
    os.chdir(tmp_path / "own")
    try:
        for _ in range(1100):
            Path("d").mkdir()
            os.chdir("d")
        Path("link").symlink_to(tmp_path / "elsewhere")
    finally:
        os.chdir(here)
    (tmp_path / "own" / "closed").mkdir()
    (tmp_path / "own" / "closed" / "a").touch()
    (tmp_path / "own" / "closed").chmod(0)
    (tmp_path / "own" / "link").symlink_to(tmp_path / "elsewhere")
    with Directory.open(tmp_path) as folder:
        folder.remove("own")
    assert [path.name for path in tmp_path.iterdir()] == ["elsewhere"]
    assert (tmp_path / "elsewhere" / "keep.txt").read_text() == "precious"


def _words(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
