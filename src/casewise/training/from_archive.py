"""An archive's cases for a training, and the archive's record of the model that came of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from casewise.archive import Archive
from casewise.case import Case
from casewise.errors import ArchiveError, UsageError
from casewise.models.model import Model


def cases_of_sites(archive: Archive, sites: Sequence[str] = ()) -> list[Case]:
    """The archive's cases of these sites, all of them where none is named. Raises UsageError for a site that it does not have."""
    cases = archive.cases()
    known = sorted({case.site for case in cases if case.site})
    for site in sites:
        if site not in known:
            msg = f"The archive has no cases of site {site!r}; its sites are {', '.join(known) or 'not named'}."
            raise UsageError(msg)
    return [case for case in cases if not sites or case.site in sites]


def cases_of_categories(cases: Sequence[Case], categories: Sequence[str] = ()) -> list[Case]:
    """Cases of these categories, with the uncategorised ones of the same subjects; all of them where no category is named.

    Raises UsageError for a category that no case has.
    """
    known = sorted({case.category for case in cases if case.category})
    for category in categories:
        if category not in known:
            msg = f"The archive has no cases of category {category!r}; it has {', '.join(known) or 'none that are named'}."
            raise UsageError(msg)
    subjects = {(case.site, case.subject) for case in cases if case.category in categories and case.subject}
    return [
        case
        for case in cases
        if not categories or case.category in categories or (case.category is None and (case.site, case.subject) in subjects)
    ]


def save_registered(model: Model, folder: Path, archive: str | Path) -> str | None:
    """Save ``model`` in ``folder`` and enter it in the archive, which then finds it by its name.

    Returns a sentence where the archive cannot be written to: a training is not lost by that.
    """
    model.save(folder)
    about = {"task": model.task, "labels": list(model.labels), "made": datetime.now(UTC).isoformat()}
    try:
        with Archive.open(archive) as opened:
            opened.add_model(model.key, model.name, folder.resolve(), about)
    except ArchiveError as error:
        return f"The model is saved, but the archive will not find it by itself: {error}"
    return None
