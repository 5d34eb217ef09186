"""A server in a process of its own: ``python -m tests.server.serving ARCHIVE PORT WORKERS LEASE [DICOM-PORT]``.

Its workers do the jobs of ``job_kinds``, or, where LEASE is 0, casewise's own. It prints its address, link and DICOM node as JSON.
Its page is an empty file: no test of it needs the built one.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from casewise.server import pages, run
from casewise.server.run import Address, serve
from tests.server import job_kinds

CLOSE_SECONDS = 240  # so long that a busy machine is not taken for a server that waits for the end of it


def ready(url: str, link: str | None, node: str | None) -> None:
    print(json.dumps({"url": url, "link": link, "dicom": node}), flush=True)


if __name__ == "__main__":
    archive, port, workers, lease, *dicom = sys.argv[1:]
    with tempfile.TemporaryDirectory() as static:
        (Path(static) / "page.js").touch()
        pages.STATIC = Path(static)
        run._CLOSE_SECONDS = CLOSE_SECONDS
        command = [sys.executable, "-m", job_kinds.__name__, archive, lease, "20"] if float(lease) else []
        dicom_port = int(dicom[0]) if dicom else None
        address = Address(port=int(port))
        serve(Path(archive), address, workers=int(workers), dicom_port=dicom_port, ready=ready, worker=command)
