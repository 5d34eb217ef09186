"""What every command has in common: one answer on stdout, sentences on stderr, exit codes, and how it stops."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from casewise.cli import common
from tests.cli.conftest import Call, on_terminal

COMMANDS = ["demo", "import", "similar", "subsets", "route", "analyze", "regions", "segments", "segment", "models", "applications"]


@pytest.mark.parametrize(
    "words", [[command] for command in COMMANDS] + [["train", "segmenter"], ["train", "classifier"], ["train", "router"]]
)
def test_every_command_has_the_common_options_and_an_example(words: list[str], call: Call) -> None:
    done = call(*words, "--help")
    assert done.code == 0
    assert not done.err
    for option in ("--json", "--device", "--seed"):
        assert option in done.out
    assert f"casewise {' '.join(words)}" in done.out


def test_the_help_lists_the_commands_in_the_order_of_use_and_the_exit_codes(call: Call) -> None:
    out = call("--help").out
    listed = out[out.index("─ Commands") :]
    order = (
        "demo",
        "import",
        "train",
        "similar",
        "subsets",
        "route",
        "analyze",
        "regions",
        "segments",
        "segment",
        "serve",
        "work",
        "models",
        "applications",
    )
    assert set(COMMANDS) | {"train", "serve", "work"} == set(order)
    places = [listed.index(f"│ {name} ") for name in order]
    assert places == sorted(places)
    assert "Exit codes" in out


@pytest.mark.parametrize(
    ("words", "reported"),
    [
        (["frobnicate"], "frobnicate"),
        (["analyze"], "IMAGE"),
        (["similar", "somewhere"], "IMAGE"),
        (["models", "--device", "gpu"], "cuda"),
        (["models", "--seed", "-1"], "--seed"),
        (["models", "--sed", "1"], "--sed"),
        (["train", "regressor"], "regressor"),
        (["similar", "a", "b", "-k", "0"], "-k"),
        (["analyze", "x.png", "--adapt", "maybe"], "subset"),
    ],
)
def test_an_unusable_call_is_one_sentence_and_exit_2(words: list[str], reported: str, call: Call) -> None:
    for more in ([], ["--json"]):
        done = call(*words, *more)
        assert done.code == 2
        assert not done.out
        assert reported in done.sentence
        assert "--help" in done.sentence


def test_no_command_at_all_shows_the_help(call: Call) -> None:
    done = call()
    assert done.code == 2
    assert "First session" in done.out + done.err or "first session" in done.out + done.err


def test_version(spawn: Call) -> None:
    done = spawn("--version")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("casewise 0.")


def test_what_a_library_prints_does_not_reach_stdout(capfd: pytest.CaptureFixture[str]) -> None:
    with common.answering(as_json=True) as answer:
        sys.stdout.write("chatter\n")
        answer.give({"n": 1, "ratio": float("nan"), "path": Path("a")})
    captured = capfd.readouterr()
    assert json.loads(captured.out) == {"n": 1, "ratio": None, "path": "a"}
    assert captured.err == "chatter\n"


def test_an_error_leaves_stdout_empty(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(OSError, match="disk"), common.answering(as_json=True) as answer:
        answer.give({"n": 1})
        raise OSError("disk")
    assert capfd.readouterr().out == ""


def test_an_unforeseen_error_is_a_sentence_and_a_traceback_only_when_asked_for(spawn: Call, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import casewise.cli.progress as p\ndef broken(self): raise ZeroDivisionError('by nothing')\np.Bars.__enter__ = broken\n"
    )
    quiet = spawn("models", "--json", PYTHONPATH=str(tmp_path))
    assert (quiet.code, quiet.out) == (2, "")
    assert "ZeroDivisionError" in quiet.sentence
    assert "CASEWISE_DEBUG=1" in quiet.sentence
    loud = spawn("models", "--json", PYTHONPATH=str(tmp_path), CASEWISE_DEBUG="1")
    assert loud.code == 2
    assert "Traceback" in loud.err


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "casewise", "models", str(tmp_path), "--json"], stdout=write, stderr=subprocess.PIPE, text=True
    )
    os.close(write)
    assert done.stderr == ""
    assert done.returncode == 0


def test_ctrl_c_says_what_is_kept(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import casewise.cli.progress as p, time, sys\n"
        "def slow(self):\n    sys.stderr.write('ready\\n'); sys.stderr.flush(); time.sleep(60)\n"
        "p.Bars.__enter__ = slow\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "casewise", "import", str(tmp_path / "archive"), str(tmp_path), "--json"],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell starts what it puts in the background with Ctrl-C ignored, and these tests with it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stderr is not None
    assert process.stderr.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert out == ""
    assert "kept" in err
    assert "again" in err
    assert "Traceback" not in err


def test_progress_is_drawn_on_a_terminal_and_nowhere_else(capfd: pytest.CaptureFixture[str]) -> None:
    script = (
        "from casewise.cli.progress import Bars\nimport time\n"
        "with Bars() as bars:\n"
        "    for step in range(3): bars('Importing', step, 3); time.sleep(0.05)\n"
    )
    silent = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert silent.stdout + silent.stderr == ""
    loud = on_terminal([sys.executable, "-c", script])
    assert "Importing" in loud.err
    assert loud.out == ""


def test_file_names_that_are_no_text_are_printed_escaped(spawn: Call, tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"m\xff")
    folder.mkdir()
    (folder / "model.toml").write_text("not toml")
    done = spawn("models", tmp_path, "--json")
    assert done.code == 1
    assert str(folder) not in {model["path"] for model in done.document}
    assert "\\udcff" in done.sentence
