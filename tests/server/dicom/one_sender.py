"""A sender in a process of its own: ``python -m tests.server.dicom.one_sender ARCHIVE LEASE``, by ARCHIVE/settings.json."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import msgspec

from casewise.exchange.settings import DicomSettings
from casewise.server.dicom.outbox import Sender
from casewise.server.store import Store

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    settings = msgspec.json.decode((folder / "settings.json").read_bytes(), type=DicomSettings)
    Sender(Store.open(folder), folder, settings, lease=float(sys.argv[2])).run(threading.Event())
