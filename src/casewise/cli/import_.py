"""``casewise import``: images, masks and what is known of them, into an archive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from casewise.cli.common import answering, plural
from casewise.cli.options import DeviceOption, JsonOption, SeedOption, argument, flag, option
from casewise.names import legible

if TYPE_CHECKING:
    from casewise.archive.ingest.report import ImportReport, Refused

_NAMED = 12  # names in one line of what a person reads
_MANIFEST = "A table with a row an image: image, mask, category, subject, site, age, sex, …"
_MODEL = "The model whose network makes the vectors by which images are compared."
_DATABASE = "Keep a new archive's catalogue in PostgreSQL: postgresql+psycopg://user@host/name."


def import_images(
    archive: Annotated[str, argument("ARCHIVE", "The archive's folder; made if it is not there.")],
    paths: Annotated[list[Path], argument("PATH", "Images, or folders to search through.")],
    manifest: Annotated[Path | None, option("--manifest", metavar="CSV", help=_MANIFEST)] = None,
    site: Annotated[str | None, option("--site", metavar="NAME", help="Where the images were taken (hospital, scanner).")] = None,
    copy: Annotated[bool, flag("--copy", "Copy the files into the archive; otherwise they stay where they are.")] = False,
    model: Annotated[
        str | None, option("--model", metavar="MODEL", help=_MODEL, default="the one that comes with casewise")
    ] = None,
    database: Annotated[str | None, option("--database", metavar="URL", help=_DATABASE, default="SQLite in the folder")] = None,
    as_json: JsonOption = False,
    device: DeviceOption = "auto",
    seed: SeedOption = 0,
) -> None:
    """Take images, their masks and what is known of them into an archive.

    Folders are searched through, and layouts that people have are recognised: a folder for each class, Medical Segmentation
    Decathlon (dataset.json), nnU-Net raw, BIDS, and any other by a manifest (a CSV table). Every file is imported or named with
    the reason why not. An image is known by its content: importing it again adds nothing, under whatever name. An import that
    was stopped goes on where it stopped when it is run again, and several may run at once.

    [bold]Examples[/bold]

      casewise import my-archive scans/ --site "Hospital A"
      casewise import my-archive scans/ --manifest scans/labels.csv --copy

    Read on in docs/how-to/import-your-images.md.
    """
    kept = "Every image imported so far is kept; run the same command again to import the rest."
    with answering(as_json, kept) as answer:
        from casewise.archive import Archive
        from casewise.chest.upright import UprightEncoder
        from casewise.device import resolve_device
        from casewise.models import load
        from casewise.models.shipped import encoder_for
        from casewise.models.shipped.waiting import WaitingEncoder

        if device == "cuda":
            resolve_device(device)  # an impossible device is refused before the first image
        plain = encoder_for(load(model), device) if model else WaitingEncoder(device)
        encoder = UprightEncoder(plain, device)
        with Archive.open(archive, create=True, database=database) as opened:
            report = opened.import_paths(paths, manifest=manifest, site=site, copy=copy, encoder=encoder, progress=answer.progress)
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
