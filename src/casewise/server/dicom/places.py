"""Where received objects lie below an archive's folder.

``server/dicom/received/<series UID>/<SOP instance UID>.dcm``: what came, each object once. ``server/dicom/versions/<series
UID>/v<N>/``: a series as it was when it was complete for the N-th time; its files are hard links to those received.
"""

from __future__ import annotations

from pathlib import Path

from casewise.exchange.received import RECEIVED, Spool

__all__ = ["RECEIVED", "TAKEN", "VERSIONS", "spool"]

_FOLDER = RECEIVED.parent
VERSIONS = _FOLDER / "versions"
TAKEN = _FOLDER / "watched"  # which files of watched folders were taken: see watcher.py


def spool(archive: Path) -> Spool:
    """The received objects of the archive in a folder."""
    place = archive / RECEIVED
    place.parent.mkdir(parents=True, exist_ok=True)
    return Spool(place)
