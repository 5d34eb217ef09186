"""The server's demonstration: its archive, sets in which something is to be outlined, and analyses to read."""

from __future__ import annotations

from pathlib import Path

from casewise.archive import Archive
from casewise.demo.archive import fill
from casewise.progress import Progress, silent
from casewise.server.access import LOCAL
from casewise.server.cases import Cases
from casewise.server.jobs import Jobs
from casewise.server.schemas.sets import SetOrder
from casewise.server.sets import Sets
from casewise.server.settings import FILE, Settings
from casewise.server.store import Store
from casewise.server.worklist import Worklist


def prepare(folder: Path, progress: Progress = silent) -> None:
    """Make the demonstration's archive in ``folder``; what is there already stays, with all that was drawn in it.

    Raises UsageError, one sentence, for an archive that is not the demonstration's.
    """
    with Archive.open(folder, create=True) as archive:
        cases = fill(archive, progress)
        _name_images(archive.folder / FILE)
        store = Store.open(archive.folder)
        worklist = Worklist(archive, store)
        try:
            jobs = Jobs(store)
            sets = Sets(store, Cases(archive, store, Settings(), worklist), jobs)
            held = {line.name for line in sets.lines()}
            # The last one is the one that "Annotate" opens.
            for order in (
                SetOrder(name="Whole brains", structure="whole brain", strategy="first", cases=list(cases.volumes)),
                SetOrder(name="Brains", structure="brain", strategy="first", cases=list(cases.pictures)),
            ):
                if order.name not in held:
                    sets.create(order, LOCAL)
            if not jobs.list(kinds=["analyse"], limit=1):
                for key in cases.analysed:  # each a job of its own, between which the one worker prepares what is drawn next
                    jobs.add("analyse", {"cases": [key], "title": "Analyse 1 case"}, priority=-1, created_by=LOCAL)
        finally:
            worklist.close()
            store.close()


def _name_images(path: Path) -> None:
    """Nobody is named by the demonstration's files, so that the pages may show what they are called."""
    if not path.exists():
        path.write_text("show_names = true\n", encoding="utf-8")
