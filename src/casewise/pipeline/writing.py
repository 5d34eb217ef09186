"""A result's files: masks, DICOM SEG, sequences on the common grid, the report, and the same as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from casewise import formats
from casewise.adaptation.adapter import DISPLAYED, Adapter
from casewise.applications.outcome import JobResult
from casewise.errors import UsageError
from casewise.files import claim, is_left_over, kept_beside, output, remove_left_over
from casewise.formats.dicom.write_segmentation import SUFFIX, segmentation_of
from casewise.image import Image
from casewise.json_safe import dumps
from casewise.label_map import LabelMap
from casewise.pipeline.prepared import Prepared
from casewise.reporting.finding_files import maps_of, segments_of, syntheses_of
from casewise.reporting.registration import SequenceView, write_checkerboards
from casewise.reporting.report import file_stem, write_report
from casewise.reporting.similar import SimilarPicture
from casewise.result import Result, SimilarCase

if TYPE_CHECKING:
    from casewise.routing.examples import Examples


def make_folder(folder: Path) -> None:
    """Raises UsageError where it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"The results cannot be written to {folder}: {error.strerror}; choose another folder with --output."
        raise UsageError(msg) from error


def files_of_result(folder: Path, name: str) -> list[str]:
    """The files that ``folder/NAME.json`` names as its own, and those kept beside it, by their places below the folder."""
    try:
        document = json.loads((folder / f"{name}.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return []
    lists = [document.get(key) for key in ("files", "files_kept")] if isinstance(document, dict) else []
    return [one for files in lists if isinstance(files, list) for one in files if _may_be_of(one, name)]


def _may_be_of(file: object, name: str) -> bool:
    """Whether a place that a file states is one that a result of this name may have."""
    if not isinstance(file, str) or ".." in (parts := PurePosixPath(file).parts) or "\0" in file:
        return False
    return bool(parts) and (file == f"{name}{SUFFIX}" or parts[0].startswith(f"{name}-"))


def _listed(result: Result, examination: Mapping[str, Any] | None) -> Iterator[Path]:
    """Files that applications wrote, and the sequences of an examination."""
    for entry in result.applications:
        files = [*cast("Sequence[str]", entry.get("files") or ()), entry.get("log")]
        yield from (Path(str(one)) for one in files if one)
    for sequence in (examination or {}).get("sequences", ()):
        yield from (Path(str(one)) for one in (sequence["registered"], sequence["checkerboard"]) if one)


class FileNames:
    """A stem for each image's results; images of one name get ``NAME``, ``NAME-2``, ``NAME-3``, …"""

    def __init__(self) -> None:
        self._given: dict[str, int] = {}

    def next(self, path: Path) -> str:
        stem = name = file_stem(path.name)
        while name in self._given:
            self._given[stem] += 1
            name = f"{stem}-{self._given[stem]}"
        self._given[name] = 1
        return name


@dataclass(frozen=True, eq=False)
class ResultWriter:
    """Writes the results of many images into one folder.

    adapter, examples : know the archive's cases, whose pictures stand in the report; None where there are none.
    """

    folder: Path
    adapter: Adapter | None
    examples: Examples | None

    def claim(self, name: str) -> None:
        """Raises UsageError where a file of this result must not be replaced; asked before the work, not after it."""
        for path in (self.folder / f"{name}.html", self.folder / f"{name}.json", self.folder / f"{name}-files"):
            claim(path)

    def write_masks(self, masks: LabelMap, image: Image, name: str) -> dict[str, Path]:
        """A file for each mask, on the image's grid; label → path."""
        files = self._mask_files(masks, image, name)
        return {label: formats.write_mask(files[label], mask.astype(np.uint8), image) for label, mask in masks.items()}

    def _mask_files(self, masks: LabelMap, image: Image, name: str) -> dict[str, Path]:
        return {label: self.folder / f"{name}-{file_stem(label)}{formats.mask_suffix(image)}" for label in masks}

    def write(self, result: Result, prepared: Prepared, ran: JobResult) -> Result:
        """Write the DICOM SEG, the report and the JSON; the result with their paths.

        The JSON names the files that lie beside it. Of an earlier result of this name, those that are not of this one are removed,
        so that no old mask is taken for one of this image; what somebody changed is kept, and a note names it.
        """
        image, clock, name = ran.job.image, prepared.clock, prepared.name
        views, about = self._write_sequences(prepared)
        with clock.step("write_segmentation"):
            segmentation, without = segmentation_of(self.folder / f"{name}{SUFFIX}", result.masks, image)
        masks = self._mask_files(prepared.label_map, image, name).values()
        files = self._beside([*masks, *_listed(result, about), *([segmentation] if segmentation else [])])
        left = [self.folder / one for one in files_of_result(self.folder, name) if one not in files]
        kept = [path for path in left if path.exists() and not is_left_over(path)]
        with clock.step("report"):
            result = replace(
                result,
                notes=(*result.notes, *(note for note in (without, kept_beside(kept)) if note)),
                examination=about,
                segmentation=segmentation,
                seconds={**clock.seconds, **ran.seconds},
                report=self.folder / f"{name}.html",
            )
            report = write_report(
                result,
                image,
                result.masks,
                self.folder,
                self._pictures(prepared.similar),
                common=self._common(prepared.similar),
                examples=self.examples.images(prepared.examples) if self.examples is not None else {},
                name=name,
                maps=maps_of(ran.findings, image),
                sequences=views,
                syntheses=syntheses_of(ran.findings, image),
                segments=segments_of(result.findings, image),
            )
        result = replace(result, seconds={**clock.seconds, **ran.seconds}, report=report)
        self._remove(left)
        with output(self.folder / f"{name}.json", "The result") as beside:
            document = {**result.to_json(), "files": files, "files_kept": self._beside(kept)}
            beside.write_text(dumps(document, indent=1), encoding="utf-8")
        return result

    def _remove(self, files: Sequence[Path]) -> None:
        """Remove an earlier result's files, and folders of applications that nothing is in then."""
        remove_left_over(files)
        for file in files:
            for folder in file.parents[: len(file.relative_to(self.folder).parts) - 1]:
                with suppress(OSError):
                    folder.rmdir()

    def _beside(self, paths: Iterable[Path]) -> list[str]:
        """Their places below the folder, those that are in it."""
        return sorted({path.relative_to(self.folder).as_posix() for path in paths if path.is_relative_to(self.folder)})

    def _write_sequences(self, prepared: Prepared) -> tuple[list[SequenceView], dict[str, Any] | None]:
        """The sequences of an examination for the report, and what the result says of them; each is written on the common grid."""
        examination = prepared.examination
        if examination is None:
            return [], None
        about: dict[str, Any] = examination.to_json()
        views: list[SequenceView] = []
        with prepared.clock.step("write_sequences"):
            for entry in about["sequences"]:
                name, first = entry["name"], not views
                image = examination.registered(name)
                views.append(SequenceView(name, image, None if first else examination.stated(name), entry))
                path = self.folder / f"{prepared.name}-{file_stem(name)}.nii.gz"
                entry["registered"] = str(formats.write(path, image))
            boards = write_checkerboards(views, self.folder, prepared.name)
        for entry in about["sequences"]:
            entry["checkerboard"] = str(boards[entry["name"]]) if entry["name"] in boards else None
        return views, about

    def _pictures(self, similar: Sequence[SimilarCase]) -> list[SimilarPicture]:
        pictures = []
        cases = self.adapter.cases([found.key for found in similar[:DISPLAYED]]) if self.adapter else {}
        for found in similar[:DISPLAYED]:
            case = cases.get(found.key)
            if self.adapter is not None and case is not None:
                masks = {s.name: case.label_map([s]) > 0 for s in self.adapter.model.spec.structures if case.has(s)}
                pictures.append(SimilarPicture(found, case.image, masks))
        return pictures

    def _common(self, similar: Sequence[SimilarCase]) -> list[str]:
        cases = self.adapter.cases([found.key for found in similar[:DISPLAYED]]) if self.adapter else {}
        displayed = [found.key for found in similar[:DISPLAYED] if found.key in cases]
        if len(displayed) < 2:
            return []
        from casewise.archive.retrieval.content import common

        return list(common([dict(cases[key].content) for key in displayed]))
