"""dcmtk's archive (dcmqrscp) as a second PACS: it counts no instances, and asks other questions than Orthanc does."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from casewise.errors import CasewiseError
from casewise.exchange.association import echo
from casewise.exchange.node import Node
from tests.orthanc import free_port
from tests.programs import missing

_SETTINGS = """
NetworkTCPPort = {port}
MaxPDUSize = 65536
MaxAssociations = 16
HostTable BEGIN
casewise = ({title}, 127.0.0.1, {move_port})
HostTable END
VendorTable BEGIN
VendorTable END
AETable BEGIN
DCMTK {folder} RW (200, 1024mb) ANY
AETable END
"""


@contextmanager
def dcmtk_archive(folder: Path, files: Sequence[Path], title: str, move_port: int) -> Iterator[Node]:
    """One that holds ``files`` and can send to ``title`` at ``move_port`` of this machine."""
    program, send = shutil.which("dcmqrscp"), shutil.which("storescu")
    if program is None or send is None:
        missing("dcmqrscp and storescu (Debian's dcmtk)")
    held, settings, port = folder / "held", folder / "dcmqrscp.cfg", free_port()
    held.mkdir(parents=True)
    settings.write_text(_SETTINGS.format(port=port, title=title, move_port=move_port, folder=held))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, "-c", str(settings)], stdout=log, stderr=log)
    node = Node("DCMTK", "127.0.0.1", port)
    try:
        until = time.monotonic() + 60
        while True:
            try:
                echo(node, title)
                break
            except CasewiseError:
                assert time.monotonic() < until, (folder / "log").read_text()
                time.sleep(0.1)
        call = [send, "-aet", title, "-aec", node.ae_title, node.host, str(port), *map(str, files)]
        subprocess.run(call, check=True, timeout=120, capture_output=True)
        yield node
    finally:
        process.terminate()
        process.wait(120)
