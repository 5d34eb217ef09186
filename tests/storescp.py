"""dcmtk's storescp, a DICOM node that stores, in a process of its own on a free port of this machine."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from casewise.exchange.node import Node
from tests.orthanc import free_port
from tests.programs import missing

_PROFILE = """
[[TransferSyntaxes]]
[Taken]
{syntaxes}
[[PresentationContexts]]
[Taken]
{classes}
[[Profiles]]
[Taken]
PresentationContexts = Taken
"""


@contextmanager
def storescp(folder: Path, *options: str, classes: dict[str, list[str]] | None = None) -> Iterator[Node]:
    """Stores in ``folder``. classes : SOP classes it takes, each with the transfer syntaxes (of all, the first one's); None: its
    own choice.
    """
    program = shutil.which("storescp") or missing("storescp (Debian's dcmtk)")
    folder.mkdir(parents=True, exist_ok=True)
    if classes is not None:
        syntaxes = next(iter(classes.values()))
        profile = folder.parent / f"{folder.name}.cfg"
        profile.write_text(
            _PROFILE.format(
                syntaxes="\n".join(f"TransferSyntax{n} = {uid}" for n, uid in enumerate(syntaxes, 1)),
                classes="\n".join(f"PresentationContext{n} = {uid}\\Taken" for n, uid in enumerate(classes, 1)),
            )
        )
        options = (*options, "--config-file", str(profile), "Taken")
    port = free_port()
    with (folder.parent / f"{folder.name}.log").open("wb") as log:
        command = [program, "-v", "--aetitle", "STORESCP", "--output-directory", str(folder), *options, str(port)]
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            _await(process, port)
            yield Node("STORESCP", "127.0.0.1", port)
        finally:
            process.terminate()
            process.wait(120)


def _await(process: subprocess.Popen[bytes], port: int) -> None:
    until = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
            return
        except OSError:
            if time.monotonic() > until or process.poll() is not None:
                raise
            time.sleep(0.05)
