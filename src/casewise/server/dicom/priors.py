"""Earlier studies of a received study's patient, fetched from the PACS before the study is analysed."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from casewise.archive import Archive
from casewise.archive.fetched import bring
from casewise.errors import CasewiseError
from casewise.exchange.fetching import source_of
from casewise.exchange.found import Series, SourceError, Study, dataset_values
from casewise.exchange.quiet import quiet
from casewise.exchange.selection import Plan, Selection, Wanted, priors
from casewise.exchange.settings import DicomSettings
from casewise.progress import Progress

_log = logging.getLogger("casewise.dicom")
_READ = ("SpecificCharacterSet", *Study.ATTRIBUTES, *Series.ATTRIBUTES)


def bring_priors(archive: Archive, files: Sequence[Path], site: str | None, progress: Progress) -> dict[str, object]:
    """Fetch and import as many as ``dicom.toml`` asks for, of the same modality; they are not analysed.

    files : one of each series of the received study. site : of its sender; None: the system's name. Gives what came of it, for the
    job's result; empty where none are asked for. A system that is away keeps nothing else from being done: the reason is logged
    and given.
    """
    try:
        settings = DicomSettings.load(archive.folder)
        most, name = settings.receive.priors, settings.receive.priors_from
        if not most or name is None or not files:
            return {}
        wanted = _received(files)
        selection = Selection(studies=(wanted.study.uid,), priors=most, priors_like=frozenset(["modality"]))
        with source_of(settings.peer(name), settings.ae_title) as source:
            progress("Asking for priors", 0)
            brought = bring(archive, source, Plan(priors(source, wanted, selection)), site=site or name, progress=progress)
    except CasewiseError as error:
        return _said(0, [str(error)])
    return _said(brought.studies, [reason for _, reason in brought.failed])


def _received(files: Sequence[Path]) -> Wanted:
    """A study by the headers of its files. Raises SourceError where one cannot be read."""
    from pydicom import dcmread

    found: list[dict[str, str]] = []
    for path in files:
        with quiet():
            try:
                found.append(dataset_values(dcmread(path, stop_before_pixels=True, specific_tags=list(_READ)), _READ))
            except Exception as error:  # pydicom raises of any kind for damaged files; its words can hold a patient's data
                raise SourceError(f"the header of a received file cannot be read ({type(error).__name__}).") from None
    study = Study.of(found[0])
    return Wanted(study.uid, study, tuple(Series.of(values) for values in found))


def _said(count: int, reasons: list[str]) -> dict[str, object]:
    for reason in reasons:
        _log.warning("Priors were not fetched: %s", reason)
    return {"priors": count, "priors_failed": reasons}
