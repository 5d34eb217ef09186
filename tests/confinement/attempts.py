"""What a hostile program would try, each a function that is run confined; it says in ``said.txt`` how it went.

``task.json`` in the working folder says where to.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

WHERE = json.loads(Path("task.json").read_text()) if Path("task.json").exists() else {}


def _say(**said: object) -> None:
    Path("said.part").write_text(json.dumps(said))
    Path("said.part").replace("said.txt")


def _tried(act: Callable[[], object]) -> str:
    try:
        act()
    except (OSError, subprocess.SubprocessError) as error:
        return type(error).__name__
    return "done"


def write() -> None:
    """Write, link, rename, remove outside of the folder."""
    victim = Path(WHERE["victim"])
    libc = ctypes.CDLL(None, use_errno=True)
    Path("own.txt").write_text("own")
    _say(
        new=_tried(lambda: victim.with_name("new.txt").write_text("x")),
        overwrite=_tried(lambda: victim.write_text("x")),
        truncate=_tried(lambda: os.truncate(victim, 0)),
        remove=_tried(victim.unlink),
        rename=_tried(lambda: victim.rename("taken.txt")),
        over=_tried(lambda: Path("own.txt").replace(victim)),
        hard_link=_tried(lambda: os.link(victim, "link.txt")),
        by_link=_tried(lambda: (Path("soft.txt").symlink_to(victim), Path("soft.txt").write_text("x"))),
        folder=_tried(lambda: victim.with_name("made").mkdir()),
        pipe=_tried(lambda: os.mkfifo(victim.with_name("pipe"))),
        child=str(subprocess.run(["/bin/sh", "-c", f"echo x > {victim}"], capture_output=True).returncode != 0),
        mount=str(libc.mount(b"/tmp", b"/mnt", None, 1 << 12, None) == 0),
        own=_tried(lambda: Path("more.txt").write_text("x")),
    )


def change_mode() -> None:
    _say(mode=_tried(lambda: Path(WHERE["victim"]).chmod(0)), times=_tried(lambda: os.utime(WHERE["victim"], (1, 1))))


def signals() -> None:
    """To the supervisor, to the one who called, to one of its threads, to groups, to all; and to an own child, which is allowed."""
    target = int(WHERE["pid"])
    tasks = [int(path.name) for path in Path(f"/proc/{target}/task").iterdir()] if _seen(target) else [target]
    thread = max(tasks)
    child = subprocess.Popen(["/bin/sleep", "60"], start_new_session=True)
    said = {
        "caller": _tried(lambda: os.kill(target, signal.SIGUSR1)),
        "thread": _tried(lambda: os.kill(thread, signal.SIGUSR1)),
        "group": _tried(lambda: os.killpg(target, signal.SIGUSR1)),
        "above": _tried(lambda: os.kill(os.getppid(), signal.SIGUSR1)),
        "descriptor": _tried(lambda: signal.pidfd_send_signal(os.pidfd_open(target), signal.SIGUSR1)),
    }
    child.terminate()
    _say(**said, child=child.wait())


def _seen(pid: int) -> bool:
    return Path(f"/proc/{pid}/task").is_dir()


def escape() -> None:
    """A grandchild in a session of its own, with an empty environment, that touches a file again and again."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            beat = "import time\nwhile True:\n    open('beat.txt', 'a').write('.')\n    time.sleep(0.05)"
            os.execve(sys.executable, [sys.executable, "-S", "-c", beat], {})
        os._exit(0)
    time.sleep(1.0)
    _say(left=True)


def many() -> None:
    """Processes that start processes, each in a session of its own."""
    for _ in range(6):
        if os.fork() == 0:
            os.setsid()
            for _ in range(3):
                os.fork()
            time.sleep(60)
    _say(left=True)
    time.sleep(60)


def spy() -> None:
    """Into the memory and the environment of the one who called."""
    target = WHERE["pid"]
    _say(
        environment=_tried(lambda: _full(Path(f"/proc/{target}/environ").read_bytes())),
        memory=_tried(lambda: Path(f"/proc/{target}/mem").open("rb").close()),
        own=" ".join(sorted(os.environ)),
    )


def _full(content: bytes) -> None:
    if not content:
        raise PermissionError


def connect() -> None:
    import socket

    _say(
        network=_tried(lambda: socket.create_connection(("127.0.0.1", int(WHERE["port"])), 2).close()),
        program=_tried(lambda: subprocess.run(["/bin/true"], check=True)),
    )


def users() -> None:
    """A new user namespace gives back all powers within it."""
    libc = ctypes.CDLL(None, use_errno=True)
    _say(unshare=int(libc.unshare(0x10000000)), child=subprocess.run(["unshare", "-U", "true"], capture_output=True).returncode)
