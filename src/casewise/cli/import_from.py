"""``casewise import --from``: what is wanted of another system, fetched and imported."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from casewise.cli.common import Answer, plural
from casewise.cli.serve import check_packages
from casewise.errors import UsageError

if TYPE_CHECKING:
    from casewise.archive import Archive
    from casewise.encoder import Encoder
    from casewise.exchange.selection import Plan, Selection
    from casewise.exchange.settings import DicomSettings
    from casewise.exchange.source import Source

_LIKE: dict[str, frozenset[Literal["modality", "body-part"]]] = {
    "any": frozenset(),
    "modality": frozenset(["modality"]),
    "body-part": frozenset(["body-part"]),
    "both": frozenset(["modality", "body-part"]),
}
_NEEDED = ("pynetdicom", "dicomweb_client", "requests", "python_multipart")


@dataclass(frozen=True)
class Wish:
    """The options of the command line that say what is fetched, and how. Values that are of a patient are never shown."""

    archive: Path
    system: str | None
    accessions: tuple[str, ...] = field(repr=False)
    patients: tuple[str, ...] = field(repr=False)
    studies: tuple[str, ...]
    dates: str | None
    modalities: tuple[str, ...]
    description: str | None = field(repr=False)
    priors: int
    priors_like: Literal["any", "modality", "body-part", "both"]
    only_list: bool
    title: str | None
    retrieve: Literal["get", "move"]
    move_port: int | None

    def selection(self) -> Selection:
        """Raises UsageError where it would be all that the system has, and for a file that cannot be read."""
        from casewise.exchange.selection import Selection

        return Selection(
            accessions=_values(self.accessions, "AccessionNumber"),
            patients=_values(self.patients, "PatientID"),
            studies=self.studies,
            dates=self.dates,
            modalities=frozenset(text.strip().upper() for text in self.modalities),
            description=self.description,
            priors=self.priors,
            priors_like=_LIKE[self.priors_like],
        )

    def source(self) -> Source:
        from casewise.exchange.fetching import source_of
        from casewise.exchange.moving import MoveTo

        settings = self._settings()
        move = MoveTo(settings, self.move_port) if self.move_port is not None else None
        return source_of(settings.peer(self.system or ""), self.title or settings.ae_title, move)

    def site(self) -> str:
        """What images are marked with where no --site is given: the system's name in dicom.toml, its title, or its host."""
        from urllib.parse import urlsplit

        from casewise.exchange.node import Node

        settings, name = self._settings(), self.system or ""
        if name in settings.nodes or name in settings.web:
            return name
        peer = settings.peer(name)
        return peer.ae_title if isinstance(peer, Node) else urlsplit(peer.url).hostname or name

    def _settings(self) -> DicomSettings:
        from casewise.exchange.settings import DicomSettings

        return DicomSettings.load(self.archive)


def check(wish: Wish, paths: Sequence[str], of_files: bool) -> None:
    """Refuse, before anything is made or asked, options that do not go together. of_files : whether some are of files alone."""
    if wish.system is None:
        given = (wish.accessions, wish.patients, wish.studies, wish.dates, wish.modalities, wish.description, wish.priors)
        if any(given) or wish.only_list or wish.move_port or wish.title:
            raise UsageError("These options say what is fetched from a PACS; name it with --from, or leave them out.")
        if not paths:
            raise UsageError("Nothing says what to import; give images or folders, or --from with what to fetch.")
        return
    if paths or of_files:
        raise UsageError(
            "Files (PATH, --manifest, --copy) are not imported together with --from; import them by a call of their own."
        )
    if (wish.retrieve == "move") != (wish.move_port is not None):
        raise UsageError("C-MOVE is asked for by --retrieve move and --move-port together: the port at which the PACS sends to us.")
    check_packages("import --from", *_NEEDED)
    if wish.title is not None:
        from casewise.exchange.node import check_title

        try:
            check_title(wish.title)
        except ValueError as error:
            raise UsageError(f"--title: {error}.") from error
    wish.selection()
    with wish.source():
        pass  # an unknown system or a secret that is not there


def fetch_into(archive: Archive, wish: Wish, site: str | None, encoder: Encoder, answer: Answer) -> None:
    """Bring what is wished for into an archive, and say what came of it."""
    from casewise.archive.fetched import bring

    with wish.source() as source:
        plan = _planned(source, wish, answer)
        brought = bring(archive, source, plan, site=site or wish.site(), encoder=encoder, progress=answer.progress)
    for name, reason in brought.failed:
        answer.failed(name, reason)
    report = brought.report
    for refused in sorted(report.failed):
        answer.failed(refused.path, refused.reason)
    answer.give(
        {**brought.to_json(), "priors": sum(one.is_prior for one in plan.studies), "left_out_series": plan.left_out},
        f"{plural(brought.instances, 'instance')} of {brought.series:,} series are here, {brought.fetched:,} of them fetched now; "
        f"{brought.studies:,} of {len(plan.studies):,} studies are whole.",
        f"{plural(report.added, 'image')} added, {report.known:,} already known, {plural(answer.failures, 'failure')}.",
    )


def list_wished(wish: Wish, answer: Answer) -> None:
    """Count what would come; nothing is fetched."""
    with wish.source() as source:
        plan = _planned(source, wish, answer)
    for name, reason in plan.failed:
        answer.failed(name, reason)
    failed = [{"path": name, "reason": reason} for name, reason in plan.failed]
    studies, priors = len(plan.studies), sum(one.is_prior for one in plan.studies)
    counts = {"studies": studies, "series": plan.series, "instances": plan.instances, "priors": priors}
    answer.give(
        {**counts, "left_out_series": plan.left_out, "failed": failed},
        f"{studies:,} studies ({priors:,} of them priors), {plan.series:,} series and {plan.instances:,} instances "
        f"would be fetched; {plan.left_out:,} series of these studies are not wanted.",
    )


def _planned(source: Source, wish: Wish, answer: Answer) -> Plan:
    from casewise.exchange.selection import plan

    return plan(source, wish.selection(), lambda done, total: answer.progress("Asking", done, total))


def _values(texts: Sequence[str], column: str) -> tuple[str, ...]:
    """Values as they were given, or those of files: one a line, or the column of this name of a CSV table."""
    return tuple(value for text in texts for value in ([text] if not _is_file(text) else _lines(Path(text), column)))


def _is_file(text: str) -> bool:
    path = Path(text)
    if path.suffix.lower() in (".txt", ".csv", ".tsv") and not path.is_file():
        raise UsageError(f"There is no file {text}; correct the path.")
    return path.is_file()


def _lines(path: Path, column: str) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read as a text in UTF-8; save it as one.") from error
    head = lines[0] if lines else ""
    separator = next((sign for sign in ";,\t" if sign in head), None)
    if separator is not None or head.strip().strip('"') == column:
        rows = csv.DictReader(lines, delimiter=separator or ",")
        if column not in (rows.fieldnames or ()):
            raise UsageError(f"{path} has no column {column}; name one so, or give a file with one value a line.")
        lines = [row[column] or "" for row in rows]
    found = [line.strip() for line in lines if line.strip()]
    if not found:
        raise UsageError(f"{path} holds nothing to fetch; write one value a line, or a column {column}.")
    return found
