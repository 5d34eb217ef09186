"""A server from its start to its end: where it listens, what it starts, and what happens when it is killed."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from casewise.archive import Archive
from casewise.errors import UsageError
from casewise.server import pages
from casewise.server.jobs import Jobs
from casewise.server.run import Address, check, serve
from casewise.server.settings import Settings
from casewise.server.store import Store
from tests.server import serving
from tests.waiting import SECONDS, until


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Archive.open(tmp_path / "archive", create=True).close()
    return tmp_path / "archive"


@pytest.fixture
def started(folder: Path) -> Iterator[Callable[..., tuple[subprocess.Popen[str], dict[str, str]]]]:
    """Starts a server; gives its process and what it printed."""
    processes: list[subprocess.Popen[str]] = []

    def start(workers: int = 1) -> tuple[subprocess.Popen[str], dict[str, str]]:
        command = [sys.executable, "-m", serving.__name__, str(folder), "0", str(workers), "1.5"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        processes.append(process)
        assert process.stdout is not None
        return process, json.loads(process.stdout.readline())

    yield start
    for process in processes:
        process.kill()
        process.wait()


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return [child for child in psutil.Process(process.pid).children() if child.status() != psutil.STATUS_ZOMBIE]


def test_the_page_the_link_and_the_end(folder: Path, started: Callable[..., tuple[subprocess.Popen[str], dict[str, str]]]) -> None:
    process, printed = started()
    assert httpx.get(f"{printed['url']}/healthz", timeout=SECONDS).json() == {"status": "alive"}
    assert httpx.get(f"{printed['url']}/readyz", timeout=SECONDS).status_code == 200
    with httpx.Client(base_url=printed["url"], headers={"Origin": printed["url"], "X-Casewise": "1"}, timeout=SECONDS) as browser:
        assert browser.get("/api/v1/jobs").status_code == 401
        browser.get(printed["link"])
        until(lambda: browser.get("/api/v1/jobs").json()["workers"])
        with browser.stream("GET", "/api/v1/events") as stream:
            lines = stream.iter_lines()
            assert next(lines) == "retry: 2000"
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert [line for line in lines if line] == []  # the stream ends of itself, without an error
        assert process.wait(SECONDS) == 0
        assert time.monotonic() - began < serving.CLOSE_SECONDS / 2  # nobody waited for the end of the grace
    store = Store.open(folder)
    assert Jobs(store).workers() == []
    store.close()


def test_workers_are_started_again_and_end_with_a_server_that_is_killed(
    folder: Path, started: Callable[..., tuple[subprocess.Popen[str], dict[str, str]]]
) -> None:
    process, _ = started(workers=2)
    until(lambda: len(workers_of(process)) == 2)
    first = workers_of(process)[0]
    first.kill()
    until(lambda: len({one.pid for one in workers_of(process)} - {first.pid}) == 2)
    children = workers_of(process)
    process.kill()
    assert psutil.wait_procs(children, timeout=SECONDS)[1] == []


def test_one_server_for_an_archive(folder: Path, started: Callable[..., object], monkeypatch: pytest.MonkeyPatch) -> None:
    started(workers=0)
    monkeypatch.setattr(pages, "STATIC", built(folder))
    with pytest.raises(UsageError, match="Another `casewise serve`"):
        serve(folder, Address(port=0))


def built(folder: Path) -> Path:
    (folder / "page.js").touch()
    return folder


def test_what_cannot_be_served_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "STATIC", folder / "nothing")
    with pytest.raises(UsageError, match="run `make page`"):
        serve(folder, Address())
    monkeypatch.setattr(pages, "STATIC", built(folder))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"port {port}: address already in use"):
            serve(folder, Address(port=port))
    with pytest.raises(UsageError, match=r"no-such-host\.invalid is no address"):
        serve(folder, Address(host="no-such-host.invalid"))
    (folder / "server.toml").write_text("colour = 'red'")
    with pytest.raises(UsageError, match="colour"):
        serve(folder, Address(port=0))


def test_other_machines_need_users_and_encryption(tmp_path: Path) -> None:
    named = Settings(url="https://casewise.example")
    pem = tmp_path / "a.pem"
    pem.touch()
    for address in (Address(), Address("localhost"), Address("::1")):
        check(address, False, Settings())
    for address, users, settings, said in (
        (Address("0.0.0.0"), False, named, "has no users yet"),
        (Address("0.0.0.0", certificate=pem, key=pem), False, named, "has no users yet"),
        (Address("0.0.0.0"), True, named, "unencrypted"),
        (Address("::"), True, named, "unencrypted"),
        (Address("0.0.0.0", proxy="10.0.0.1"), True, Settings(), "server.toml"),
        (Address(certificate=pem), False, named, "both"),
        (Address(certificate=pem, key=tmp_path / "none.pem"), False, named, "none.pem is not a file"),
    ):
        with pytest.raises(UsageError, match=said):
            check(address, users, settings)
    check(Address("0.0.0.0", proxy="10.0.0.1"), True, named)
    check(Address("0.0.0.0", certificate=pem, key=pem), True, named)
