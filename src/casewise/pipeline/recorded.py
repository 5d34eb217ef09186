"""A result as the archive records it: the JSON of ``casewise analyze``, with what the pages need beside, and places of files
relative to the archive's folder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from casewise.applications.decision import Decision
from casewise.archive.storage import located
from casewise.finding import FINDING, Finding, SegmentPicture, with_mask_names
from casewise.image import Box
from casewise.json_safe import plain
from casewise.label_map import Mask
from casewise.result import Result

FOLDER = "results"
_SKIPPED = "Not analysed, by a rule"


def recorded(result: Result, folder: Path, **about: object) -> dict[str, Any]:
    """``folder`` : the archive's. about : when and by which job it was made.

    Each finding has ``place``, a voxel of it to go to, ``mask_name``, what its mask is called in the result's segmentation, and
    ``mask``, ``map`` and its segment's ``picture`` below the archive's folder; ``summary`` holds the sentences that stand in no
    other entry.
    """
    document: Any = plain(result.to_json())
    for finding, entry in zip(result.findings, document["findings"], strict=True):
        mask = result.mask_of(finding)
        centre = None if finding.box is None else [(lo + hi - 1) // 2 for lo, hi in finding.box.to_json()]
        entry["place"] = centre if mask is None else _middle(mask)
        entry["mask"], entry["map"] = (_relative(path, folder) for path in (finding.mask, finding.map))
        if finding.segment is not None:
            entry["segment"]["picture"] = _relative(finding.segment.picture, folder)
        entry["mask_name"] = finding.mask_name
    document["report"], document["segmentation"] = (_relative(path, folder) for path in (result.report, result.segmentation))
    summary = result.summary
    document["summary"] = {
        "not_looked_for": summary.not_looked_for_sentence,
        "failed": [{"application": name, "reason": reason} for name, reason in summary.failed],
        "model": result.model.sentence,
    }
    for entry in document["applications"]:
        entry.pop("files", None)
        entry.pop("log", None)
    return {**document, **about}


def skipped(decision: Decision) -> dict[str, Any]:
    """What is recorded of an image in a result's place where rules say that it is not to be analysed: why."""
    return {"headline": _SKIPPED, "notes": [decision.sentence], "decision": decision.to_json()}


def _middle(mask: Mask) -> list[int] | None:
    """The voxel of the mask that is nearest to its centre of mass; None for an empty one."""
    voxels = np.argwhere(mask)
    if not len(voxels):
        return None
    return [int(n) for n in voxels[np.argmin(((voxels - voxels.mean(axis=0)) ** 2).sum(axis=1))]]


def _relative(path: Path | None, folder: Path) -> str | None:
    return path.relative_to(folder).as_posix() if path is not None and path.is_relative_to(folder) else None


def results_folder(folder: Path, key: str, job: int) -> Path:
    """Where the files of an analysis lie. key : of an image that the archive has. job : the server's; 0 where it was none."""
    return located(folder, f"{FOLDER}/{key}/{job}")


def findings_of(data: Mapping[str, Any], folder: Path) -> list[Finding]:
    """The findings of a recorded result, with the files of theirs that are still there, and the names of their masks. ``folder`` :
    the archive's.
    """
    entries = data.get("findings") or ()
    found = [_finding(entry, folder) for entry in entries]
    named = all("mask_name" in entry for entry in entries)
    return found if named else list(with_mask_names(found))  # a result of before these names were recorded


def _finding(entry: Mapping[str, Any], folder: Path) -> Finding:
    box = entry.get("box")
    segment = entry.get("segment") or {}
    picture = _file(segment.get("picture"), folder)
    return Finding(
        str(entry["application"]),
        str(entry["label"]),
        entry.get("probability"),
        entry.get("region"),
        _box(box) if box else None,
        _file(entry.get("mask"), folder),
        _file(entry.get("map"), folder),
        {str(name): float(value) for name, value in (entry.get("measures") or {}).items() if value is not None},
        str(entry.get("kind") or FINDING),
        {str(name): float(value) for name, value in (entry.get("scores") or {}).items() if value is not None},
        entry.get("mask_name"),
        SegmentPicture(str(segment["region"]), _box(segment["box"]), float(segment["scale"]), picture) if picture else None,
    )


def _box(pairs: Sequence[Sequence[int]]) -> Box:
    return Box(tuple(int(low) for low, _ in pairs), tuple(int(high) for _, high in pairs))


def _file(path: object, folder: Path) -> Path | None:
    place = located(folder, path) if isinstance(path, str) else None
    return place if place is not None and place.is_file() else None


def job_of(data: Mapping[str, Any]) -> int | None:
    found = data.get("job")
    return found if isinstance(found, int) else None
