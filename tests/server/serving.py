"""A server in a process of its own: ``python -m tests.server.serving ARCHIVE PORT WORKERS LEASE``, with jobs of ``job_kinds``.

It prints its address and link as JSON. Its page is an empty file: no test of it needs the built one.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from casewise.server import pages
from casewise.server.run import Address, serve
from tests.server import job_kinds


def ready(url: str, link: str | None, node: str | None) -> None:
    print(json.dumps({"url": url, "link": link, "dicom": node}), flush=True)


if __name__ == "__main__":
    archive, port, workers, lease = sys.argv[1:]
    with tempfile.TemporaryDirectory() as static:
        (Path(static) / "page.js").touch()
        pages.STATIC = Path(static)
        command = [sys.executable, "-m", job_kinds.__name__, archive, lease, "20"]
        serve(Path(archive), Address(port=int(port)), workers=int(workers), ready=ready, worker=command)
