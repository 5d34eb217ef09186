"""Export a set as a folder that nnU-Net reads, in one ZIP file: ``imagesTr``, ``labelsTr``, ``dataset.json``.

Every file is a NIfTI on the image's own grid. A colour picture is a file a channel.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from casewise import formats
from casewise.case import Case
from casewise.errors import CasewiseError, UsageError
from casewise.files import replacing
from casewise.image import Image
from casewise.server import exports
from casewise.server.temporary import temporary_folder
from casewise.server.work.context import Work
from casewise.server.work.set_cases import SetCases

_ENDING = ".nii.gz"


def run(work: Work) -> dict[str, object]:
    """payload: ``set``, its number. Its accepted images are exported; those whose files cannot be read are named."""
    cases = SetCases.of(work.archive, work.store, int(work.payload["set"]))
    accepted = [row.image_key for row in cases.images(work.store, "accepted")]
    held = cases.held(accepted)
    keys = [key for key in accepted if key in held]
    if not keys:
        raise UsageError("No mask of this set is accepted yet; there is nothing to export.")
    if len(set(cases.axes(keys).values())) > 1:
        raise UsageError("The set holds pictures and volumes, and nnU-Net takes one or the other; make a set of each.")
    failed: list[dict[str, str]] = []
    target = exports.place(work.archive.folder, work.job.id)
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target) as beside:
        _packed(work, cases, [held[key] for key in keys], failed, beside)
    exports.remove_others(work.archive.folder, work.jobs, cases.row.id, work.job.id)
    url = f"/api/v1/sets/{cases.row.id}/export/{work.job.id}"
    return {"set": cases.row.id, "images": len(keys) - len(failed), "failed": failed, "bytes": target.stat().st_size, "url": url}


def _packed(work: Work, cases: SetCases, accepted: Sequence[Case], failed: list[dict[str, str]], target: Path) -> None:
    channels: set[int] = set()
    with temporary_folder() as scratch, zipfile.ZipFile(target, "w") as packed:
        for number, case in enumerate(accepted):
            work.progress("Exporting", number, len(accepted))
            try:
                image = case.image
                for name, path in list(_files(case, image, cases.row.structure, Path(scratch))):
                    packed.write(path, name)
                    path.unlink()
            except (CasewiseError, OSError):
                failed.append({"key": case.key, "reason": "Its file, or that of its mask, cannot be read any more."})
            else:
                channels.add(image.channels)
        if len(channels) != 1:
            why = "they have different numbers of channels" if channels else "none of them can be read"
            raise UsageError(f"The images of this set cannot be one data set: {why}.")
        packed.writestr("dataset.json", _description(cases.row.structure, channels.pop(), len(accepted) - len(failed)))


def _files(case: Case, image: Image, structure: str, scratch: Path) -> Iterator[tuple[str, Path]]:
    """(name in the ZIP file, the file) of an image's channels and its label."""
    label = case.load_masks[structure]().astype(np.uint8)  # read first: an image without its label is of no use
    yield f"labelsTr/{case.key}{_ENDING}", formats.write_mask(scratch / f"label{_ENDING}", label, image)
    for channel in range(image.channels):
        alone = image.with_array(image.array[channel : channel + 1])
        yield f"imagesTr/{case.key}_{channel:04}{_ENDING}", formats.write(scratch / f"{channel}{_ENDING}", alone)


def _description(structure: str, channels: int, count: int) -> str:
    names = {"0": "image"} if channels == 1 else {str(number): f"channel {number + 1}" for number in range(channels)}
    document = {
        "channel_names": names,
        "labels": {"background": 0, structure: 1},
        "numTraining": count,
        "file_ending": _ENDING,
        "overwrite_image_reader_writer": "SimpleITKIO",
    }
    return json.dumps(document, indent=1, ensure_ascii=False)
