"""Which studies and series a person wants from a source, and which of them the source has."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

from casewise.errors import UsageError
from casewise.exchange.asked import Query
from casewise.exchange.association import AssociationError
from casewise.exchange.found import MOST_SILENT, AwayError, Series, SourceError, Study
from casewise.exchange.source import Source

Likeness = Literal["modality", "body-part"]
# Series that hold no images: reports, presentation states, key objects, plans, curves, documents.
NO_IMAGES = frozenset(
    ["SR", "PR", "KO", "DOC", "AU", "ECG", "EPS", "HD", "RTSTRUCT", "RTPLAN", "RTRECORD", "REG", "FID", "PLAN", "RWV", "STAIN"]
)
_EVERY = "the selection"


@dataclass(frozen=True)
class Selection:
    """What is wanted. Raises UsageError where nothing says whose or of when, which would be all that a source has.

    accessions, patients, studies : those of any of these. dates : within these days. modalities, description : only such series; a
    description contains these words. priors : how many earlier studies of each patient are wanted too, the newest, of the series
    that are wanted; priors_like : only those with a series of the same modality or body part.
    """

    accessions: tuple[str, ...] = field(default=(), repr=False)
    patients: tuple[str, ...] = field(default=(), repr=False)
    studies: tuple[str, ...] = ()
    dates: str | None = None
    modalities: frozenset[str] = frozenset()
    description: str | None = field(default=None, repr=False)
    priors: int = 0
    priors_like: frozenset[Likeness] = frozenset()

    def __post_init__(self) -> None:
        if not (self.accessions or self.patients or self.studies or self.dates):
            raise UsageError(
                "Nothing says which studies are wanted, and a whole PACS is not copied; "
                "give --accession, --patient-id, --study or --date."
            )
        self.queries()  # refuses patterns and odd dates

    def queries(self) -> list[tuple[str, Query]]:
        """What to ask, each with its name for a message: as it was given, but a patient's identifier by its place."""
        modality = next(iter(self.modalities)) if len(self.modalities) == 1 else None
        more = {"dates": self.dates, "modality": modality}
        asked = [(text, Query(accession=text, **more)) for text in dict.fromkeys(self.accessions)]
        asked += [(f"patient {n}", Query(patient=text, **more)) for n, text in enumerate(dict.fromkeys(self.patients), 1)]
        asked += [(text, Query(study=text, **more)) for text in dict.fromkeys(self.studies)]
        return asked or [(_EVERY, Query(**more))]

    def wants(self, series: Series) -> bool:
        right = series.modality in self.modalities if self.modalities else series.modality not in NO_IMAGES
        words = (self.description or "").casefold().split()
        return right and all(word in series.description.casefold() for word in words)


@dataclass(frozen=True)
class Wanted:
    """A study with the series that are wanted of it. name : for messages. is_prior : of a study that was asked for."""

    name: str
    study: Study
    series: tuple[Series, ...]
    is_prior: bool = False


@dataclass
class Plan:
    """What would be fetched. failed : (what was asked for, why it is not there). left_out : series that are not wanted."""

    studies: list[Wanted] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    left_out: int = 0

    @property
    def series(self) -> int:
        return sum(len(one.series) for one in self.studies)

    @property
    def instances(self) -> int:
        """As far as the source says how many its series have."""
        return sum(series.instances or 0 for one in self.studies for series in one.series)


def plan(source: Source, selection: Selection, asked: Callable[[int, int], None]) -> Plan:
    """Ask a source for what is wanted. asked : called with how many of how many questions have been answered.

    Raises AssociationError, SourceError where the very first question fails: what would fail for all of them.
    """
    planned = Plan()
    queries = selection.queries()
    silent = 0  # questions in a row
    for number, (name, query) in enumerate(queries):
        asked(number, len(queries))
        if silent == MOST_SILENT:
            planned.failed += [(name, not_tried(source)) for name, _ in queries[number:]]
            break
        try:
            _add(planned, source, selection, name, query)
            silent = 0
        except (AssociationError, SourceError) as error:
            if number == 0 and not planned.studies:
                raise
            silent = silent + 1 if isinstance(error, (AssociationError, AwayError)) else 0
            planned.failed.append((name, str(error)))
    asked(len(queries), len(queries))
    return planned


def not_tried(source: Source) -> str:
    """Why what follows is not tried, where a source did not answer several times in a row."""
    return f"Not tried, as {source} did not answer {MOST_SILENT} times in a row; run the same command again when it does."


def _add(planned: Plan, source: Source, selection: Selection, name: str, query: Query) -> None:
    known = {one.study.uid for one in planned.studies}
    studies = source.studies(query)
    if not studies:
        planned.failed.append((name, f"{source} has no such study."))
    for study in sorted(studies, key=lambda one: (one.date, one.time, one.uid)):
        called = study.uid if name == _EVERY or len(studies) > 1 else name
        series = source.series(study.uid)
        chosen = tuple(one for one in series if selection.wants(one))
        planned.left_out += len(series) - len(chosen)
        if study.uid in known:
            continue
        if not chosen:
            planned.failed.append((called, f"The study has no series of images that is wanted, of {len(series):,} series."))
            continue
        planned.studies.append(Wanted(called, study, chosen))
        if selection.priors:
            _add_priors(planned, source, selection, planned.studies[-1])


def _add_priors(planned: Plan, source: Source, selection: Selection, wanted: Wanted) -> None:
    known = {one.study.uid for one in planned.studies}
    try:
        found = priors(source, wanted, selection)
    except SourceError as error:
        planned.failed.append((wanted.name, f"Its priors were not found: {error}"))
        return
    planned.studies += [one for one in found if one.study.uid not in known]


def priors(source: Source, wanted: Wanted, selection: Selection) -> list[Wanted]:
    """The newest earlier studies of a study's patient, as the selection wants them.

    A study is the patient's where it has the same identifier, and no other issuer of it or date of birth. Raises SourceError where
    the study does not say whose it is or of when, or of what, where that is asked for.
    """
    study = wanted.study
    if not study.patient.identifier or not study.date:
        raise SourceError("the study does not say of which patient and day it is.")
    try:
        query = Query(patient=study.patient.identifier, dates=f"-{study.date}")
    except UsageError as error:
        raise SourceError("the patient's identifier or the day cannot be asked for: one holds a pattern.") from error
    modalities = _stated(selection, "modality", (one.modality for one in wanted.series))
    parts = _stated(selection, "body-part", (one.body_part.upper() for one in wanted.series))
    earlier = [
        one
        for one in source.studies(query)
        if one.patient.is_surely(study.patient) and (one.date, one.time) < (study.date, study.time) and one.uid != study.uid
    ]
    found: list[Wanted] = []
    for one in sorted(earlier, key=lambda one: (one.date, one.time, one.uid), reverse=True):
        if len(found) == selection.priors:
            break
        series = source.series(one.uid)
        chosen = tuple(each for each in series if selection.wants(each))
        alike = [each for each in chosen if each.modality in (modalities or {each.modality})]
        if any(each.body_part.upper() in (parts or {each.body_part.upper()}) for each in alike):
            found.append(Wanted(f"a prior of {wanted.name}", one, chosen, is_prior=True))
    return found


def _stated(selection: Selection, likeness: Likeness, values: Iterable[str]) -> set[str]:
    """What a prior must share; empty where nothing need be. Raises SourceError where the study does not say it."""
    if likeness not in selection.priors_like:
        return set()
    stated = set(values) - {""}
    if not stated:
        raise SourceError(f"the study does not say of which {likeness.replace('-', ' ')} it is.")
    return stated
