"""``casewise import``: images, masks and what is known of them, into an archive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from casewise.cli.common import answering, plural
from casewise.cli.import_from import Wish, check, fetch_into, list_wished
from casewise.cli.options import DeviceOption, JsonOption, OnOption, SeedOption, WorkersOption, argument, flag, option
from casewise.errors import UsageError
from casewise.names import legible

if TYPE_CHECKING:
    from casewise.archive.ingest.report import ImportReport, Refused

_FROM = "Fetch from a PACS: a name of ARCHIVE/dicom.toml, AETITLE@host:port, or a DICOMweb address."
_ACCESSION = "Studies of an accession number, or of those in a file (one a line, or a CSV column AccessionNumber); repeatable."
_PATIENT = "Studies of a patient, or of those in a file (CSV column PatientID); repeatable. No log or message holds it."
_PRIORS = "Fetch this many earlier studies of each patient too, the newest."
_LIKE = "What a prior has in common with the study it is fetched for."
_RETRIEVE = "How a DICOM node sends: C-GET, or C-MOVE to --move-port."
_TITLE = "This machine's AE title."
_KEPT = "Every image imported so far is kept; run the same command again to import the rest."
_FETCHED_KEPT = "Everything that was fetched is kept; run the same command again to fetch the rest."
_FETCHING = "Fetching from another system"
_NAMED = 12  # names in one line of what a person reads
_MANIFEST = "A table with a row an image: image, mask, category, subject, site, age, sex, …"
_MODEL = "The model whose network makes the vectors by which images are compared."
_PATHS = "Images, folders to search through, or s3://bucket/folder; none with --from."
_STORAGE = "Keep a new archive's own files (those of --copy, and masks) in object storage: s3://bucket/folder."
_DATABASE = "Keep a new archive's catalogue in PostgreSQL: postgresql+psycopg://user@host/name."


def import_images(
    archive: Annotated[str, argument("ARCHIVE", "The archive's folder; made if it is not there.")],
    paths: Annotated[
        list[str] | None,
        argument("PATH", _PATHS, default="none"),
    ] = None,
    manifest: Annotated[str | None, option("--manifest", metavar="CSV", help=_MANIFEST)] = None,
    site: Annotated[str | None, option("--site", metavar="NAME", help="Where the images were taken (hospital, scanner).")] = None,
    copy: Annotated[bool, flag("--copy", "Copy the files into the archive; otherwise they stay where they are.")] = False,
    model: Annotated[
        str | None, option("--model", metavar="MODEL", help=_MODEL, default="the one that comes with casewise")
    ] = None,
    storage: Annotated[str | None, option("--storage", metavar="URL", help=_STORAGE, default="the archive's folder")] = None,
    database: Annotated[str | None, option("--database", metavar="URL", help=_DATABASE, default="SQLite in the folder")] = None,
    system: Annotated[str | None, option("--from", metavar="SYSTEM", help=_FROM, rich_help_panel=_FETCHING)] = None,
    accession: Annotated[
        list[str] | None, option("--accession", metavar="NUMBER|FILE", help=_ACCESSION, rich_help_panel=_FETCHING)
    ] = None,
    patient: Annotated[
        list[str] | None, option("--patient-id", metavar="ID|FILE", help=_PATIENT, rich_help_panel=_FETCHING)
    ] = None,
    study: Annotated[
        list[str] | None,
        option("--study", metavar="UID", help="The study of this StudyInstanceUID; repeatable.", rich_help_panel=_FETCHING),
    ] = None,
    date: Annotated[
        str | None, option("--date", metavar="DAYS", help="Studies of 20240131, or 20240101-20240131.", rich_help_panel=_FETCHING)
    ] = None,
    modality: Annotated[
        list[str] | None, option("--modality", metavar="CT", help="Only series of it; repeatable.", rich_help_panel=_FETCHING)
    ] = None,
    description: Annotated[
        str | None,
        option("--description", metavar="WORDS", help="Only series described with these words.", rich_help_panel=_FETCHING),
    ] = None,
    priors: Annotated[
        int, option("--priors", metavar="N", help=_PRIORS, min=0, max=1000, default="none", rich_help_panel=_FETCHING)
    ] = 0,
    priors_like: Annotated[
        Literal["any", "modality", "body-part", "both"],
        option("--priors-like", help=_LIKE, default=True, rich_help_panel=_FETCHING),
    ] = "any",
    only_list: Annotated[
        bool,
        option(
            "--list", "--dry-run", metavar="", help="Count what would be fetched, and fetch nothing.", rich_help_panel=_FETCHING
        ),
    ] = False,
    retrieve: Annotated[
        Literal["get", "move"], option("--retrieve", help=_RETRIEVE, default=True, rich_help_panel=_FETCHING)
    ] = "get",
    move_port: Annotated[
        int | None,
        option("--move-port", metavar="N", help="The port that C-MOVE sends to.", min=1, max=65535, rich_help_panel=_FETCHING),
    ] = None,
    title: Annotated[
        str | None, option("--title", metavar="AET", help=_TITLE, default="that of dicom.toml", rich_help_panel=_FETCHING)
    ] = None,
    workers: WorkersOption = None,
    on: OnOption = None,
    as_json: JsonOption = False,
    device: DeviceOption = "auto",
    seed: SeedOption = 0,
) -> None:
    """Take images, their masks and what is known of them into an archive, from files, object storage or a PACS.

    Folders are searched through, and layouts that people have are recognised: a folder for each class, Medical Segmentation
    Decathlon (dataset.json), nnU-Net raw, BIDS, and any other by a manifest (a CSV table). Every file is imported or named with
    the reason why not. An image is known by its content: importing it again adds nothing, under whatever name. An import that
    was stopped goes on where it stopped when it is run again, and several may run at once. With --workers or --on the vectors by
    which images are compared are made after the import, by several processes.

    With --from, studies are fetched from a PACS: by accession number, patient, study or date. Their series are checked to be whole,
    kept in the archive's folder and imported. What is there already is not fetched again.

    [bold]Examples[/bold]

      casewise import my-archive scans/ --site "Hospital A"
      casewise import my-archive scans/ --manifest scans/labels.csv --copy
      casewise import my-archive s3://hospital-a/chest --site "Hospital A"
      casewise import my-archive --from PACS@10.0.0.2:104 --accession numbers.csv --priors 2 --modality CT

    Read on in docs/how-to/import-your-images.md, docs/how-to/object-storage.md and docs/how-to/dicom.md.
    """
    wish = Wish(
        Path(archive),
        system,
        tuple(accession or ()),
        tuple(patient or ()),
        tuple(study or ()),
        date,
        tuple(modality or ()),
        description,
        priors,
        priors_like,
        only_list,
        title,
        retrieve,
        move_port,
    )
    check(wish, paths or [], bool(manifest or copy))
    if system and (workers is not None or on is not None):
        raise UsageError("--workers and --on are for images in files; leave them out with --from.")
    with answering(as_json, _FETCHED_KEPT if system else _KEPT) as answer:
        if only_list:
            list_wished(wish, answer)
            return
        from casewise.archive import Archive
        from casewise.pipeline.embedding import LIMIT, embed_by, encoder_of
        from casewise.workers import chosen

        here = workers is None and on is None
        encoder = encoder_of(model, device)
        with (
            chosen(workers, on, gpus=1 if device == "cuda" else 0, limit=LIMIT) as crew,
            Archive.open(archive, create=True, database=database, storage=storage) as opened,
        ):
            if system:
                fetch_into(opened, wish, site, encoder, answer)
                return
            report = opened.import_paths(
                paths or [],
                manifest=manifest,
                site=site,
                copy=copy,
                encoder=encoder if here else None,
                progress=answer.progress,
            )
            if not here:
                embed_by(crew, opened, model, device, answer.progress)
        for refused in sorted(report.failed):
            answer.failed(refused.path, refused.reason)
        answer.give(report.to_json(), *_lines(report))


def _lines(report: ImportReport) -> list[str]:
    """What a person reads of an import."""
    lines = [f"{plural(report.added, 'image')} added, {report.known:,} already known, {len(report.failed):,} not imported."]
    if report.added or report.known:
        subjects = f"{report.subjects:,}" if report.subjects else "not known"
        lines += [f"Masks: {_counts(report.masks)}.", f"Sites: {_counts(report.sites)}. Subjects: {subjects}."]
    elif not report.failed:
        lines.append(
            "No image was found there. Folders are searched for DICOM, NIfTI, NRRD, MetaImage, PNG, JPEG, TIFF and HDF5 files."
        )
    if report.left_out:
        lines.append(f"{plural(len(report.left_out), 'mask')} left out, as no image is certainly theirs.")
    for table in report.tables:
        why = f" ({table.reason})" if table.reason else ""
        lines.append(f"Table {legible(Path(table.path).name)}: {table.used:,} of {plural(table.rows, 'row')} used{why}.")
    lines += noted(report.notes)
    if unnamed := report.not_in_manifest:
        names = ", ".join([legible(path) for path in unnamed[:_NAMED]] + ["…"] * (len(unnamed) > _NAMED))
        lines.append(f"{plural(len(unnamed), 'image')} imported that the manifest does not name: {names}.")
    if report.skipped:
        lines.append(f"{plural(len(report.skipped), 'file')} passed over as no images; --json names each with its reason.")
    return lines


def _counts(counts: Mapping[str, int]) -> str:
    """``lung 45, heart 45``, the most frequent first; ``none``."""
    often = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    named = [f"{name} {count:,}" for name, count in often[:_NAMED]]
    return ", ".join([*named, f"and {len(often) - _NAMED:,} more"] if len(often) > _NAMED else named) or "none"


def noted(notes: Sequence[Refused]) -> list[str]:
    """A line for each remark, however many files and folders it is about."""
    paths: dict[str, list[str]] = {}
    for note in notes:
        paths.setdefault(note.reason, []).append(legible(note.path))
    return [
        f"note: {files[0]}{f' and {len(files) - 1:,} more' if len(files) > 1 else ''}: {reason}" for reason, files in paths.items()
    ]
