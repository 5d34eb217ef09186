"""One call at a time for a node's reply port, over all processes."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from casewise.applications.declared import Declared, PythonRun, Run
from casewise.applications.isolated.turns import turn
from casewise.applications.node_run import NodeRun
from casewise.applications.outcome import ApplicationError
from tests.orthanc import free_port

HOLDS = """
import sys, threading, time
from pathlib import Path
from casewise.applications.declared import Declared
from casewise.applications.isolated.turns import turn
from casewise.applications.node_run import NodeRun
with turn(Declared("b", ("*",), ("f",), NodeRun("CAD@127.0.0.1:104", int(sys.argv[1]))), threading.Event()):
    print("held", flush=True)
    sys.stdin.readline()
    Path(sys.argv[2]).touch()
"""


def declared(run: Run) -> Declared:
    return Declared("a", ("*",), ("f",), run)


def test_a_call_waits_for_that_of_another_process(tmp_path: Path) -> None:
    port = free_port()
    words = [sys.executable, "-c", HOLDS, str(port), str(tmp_path / "over")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        threading.Timer(1.0, other.stdin.close).start()
        with turn(declared(NodeRun("OTHER@127.0.0.1:104", port)), threading.Event()):
            assert (tmp_path / "over").exists()
        other.wait()


def test_calls_of_other_ports_and_other_kinds_do_not_wait() -> None:
    first, second = free_port(), free_port()
    with turn(declared(NodeRun("CAD@127.0.0.1:104", first)), threading.Event()):
        with turn(declared(NodeRun("CAD@127.0.0.1:104", second)), threading.Event()):
            pass
        with turn(declared(PythonRun("a.b:C")), threading.Event()):
            pass


def test_threads_of_one_process_wait_too_and_stop_with_it() -> None:
    run, stopping, said = NodeRun("CAD@127.0.0.1:104", free_port()), threading.Event(), list[str]()

    def wait() -> None:
        try:
            with turn(declared(run), stopping):
                said.append("in")
        except ApplicationError as error:
            said.append(str(error))

    with turn(declared(run), threading.Event()):
        thread = threading.Thread(target=wait)
        thread.start()
        time.sleep(0.5)
        assert said == []
        stopping.set()
        thread.join(120)
    assert said == ["was stopped, because casewise was"]


def test_a_folder_of_locks_that_is_a_link_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / f"casewise-ports-{os.getuid()}").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ApplicationError, match="remove it"), turn(declared(NodeRun("CAD@127.0.0.1:104", 4)), threading.Event()):
        pass
    assert list((tmp_path / "elsewhere").iterdir()) == []
