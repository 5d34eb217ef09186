"""DICOM files and the folders that hold their series: read, and found by their headers alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from casewise.errors import UnreadableImageError
from casewise.formats.dicom.header import about, frame_times, pixel_size
from casewise.formats.dicom.instances import headers, image_dataset
from casewise.formats.dicom.padding import as_background, padding
from casewise.formats.dicom.pixels import check_decodable, check_series, decoded, in_modality_units
from casewise.formats.dicom.slices import Slice, mosaic_in, slices_of
from casewise.formats.dicom.stacks import Stack, affine_of, aligned, is_sheared, stacks_of
from casewise.formats.found import Found, Kind, Rejected
from casewise.formats.guard import check_claim, finished, numbered, one_of_several, one_sentence
from casewise.image import Array, Image


def read_file(path: Path, member: str | None) -> Image:
    """One DICOM file.

    One frame: (C, row, column), with its plane's affine. Several frames that lie in patient space: (C, row, column, slice).
    Several frames that do not (a cine loop, detectors of a scintigraphy): (C, row, column, frame), with
    ``header.spacing_known`` False and ``header.third_axis`` saying what the frames are. ``member="frame=n"`` takes one frame,
    ``"stack=n"`` one of several stacks, both from 0.
    """
    dataset = image_dataset(path)
    slices = slices_of(path, dataset)
    check_decodable(path, dataset)
    if member is not None and not member.startswith("stack="):
        frame = numbered(path, member, "frame", len(slices)) or 0
        return _image(path, [slices[frame]], [(dataset, _frames(path, dataset, slices, frame)[0])])
    if len(slices) == 1:
        return _image(path, slices, [(dataset, decoded(path, dataset)[0])])
    stacks = stacks_of(slices)
    number = numbered(path, member, "stack", len(stacks))
    if number is None and len(stacks) > 1:
        members = f'member="stack=0" to member="stack={len(stacks) - 1}", or a single frame by member="frame=0"'
        raise one_of_several(path, f"{len(stacks)} stacks of slices", members)
    chosen = stacks[number or 0]
    _check_sure(path, chosen)
    frames = _frames(path, dataset, slices)
    planes = [(dataset, frames[s.frame or 0]) for s in chosen.slices]
    return _image(path, chosen.slices, planes) if chosen.placed else _loop(path, chosen.slices, planes)


def _frames(path: Path, dataset: Any, slices: Sequence[Slice], frame: int | None = None) -> Array:
    """(frame, C, row, column) of a file's slices, the tiles of a mosaic separated; only ``frame`` if one is named."""
    mosaic = mosaic_in(path, dataset) if slices[0].tile else None
    if mosaic is not None:
        tiles = mosaic.unfolded(decoded(path, dataset))
        return tiles if frame is None else tiles[frame : frame + 1]
    return decoded(path, dataset, frame if len(slices) > 1 else None)


def _check_sure(path: Path, stack: Stack) -> None:
    if stack.doubt:
        raise UnreadableImageError(f"{path}: {stack.doubt}; put the files of each examination into a folder of its own.")


def read_folder(path: Path, member: str | None) -> Image:
    """The DICOM series in a folder: (C, row, column, slice). With several, ``member`` names one."""
    slices, rejected = headers(sorted(p for p in path.iterdir() if p.is_file()))
    stacks = stacks_of(slices)
    if not stacks:
        raise UnreadableImageError(_nothing(path, list(rejected)))
    if member is None and len(stacks) > 1:
        names = "; ".join(_described(stack) for stack in stacks[:8]) + (f"; and {len(stacks) - 8} more" if len(stacks) > 8 else "")
        raise UnreadableImageError(
            f"{path} holds {len(stacks)} DICOM images{_of_whom(stacks)}: put the files of the one that is meant into a folder of "
            f"its own, or import the folder, which takes each; in Python, name it by member=NAME: {names}."
        )
    chosen = stacks[0] if member is None else next((stack for stack in stacks if stack.member == member), None)
    if chosen is None:
        names = ", ".join(stack.member for stack in stacks[:8])
        raise UnreadableImageError(f"{path} has no series {member!r}; it has {names}.")
    _check_sure(path, chosen)
    lost = _lost(chosen, stacks, rejected)
    if lost:
        msg = f"{path}: {len(lost)} of the series' files cannot be read, so that slices may be missing; the first: {lost[0].reason}"
        raise UnreadableImageError(msg)
    if len(chosen.files) == 1:
        return read_file(chosen.files[0], _inner(chosen, stacks))
    return read_files(path, chosen.files, chosen.notes)


def read_files(path: Path, files: Sequence[Path], notes: Iterable[str] = ()) -> Image:
    """(C, row, column, slice) of the single-frame files of one stack, in whatever order they are given."""
    planes: list[Slice] = []
    datasets: list[Any] = []
    arrays: list[Array] = []
    for file in files:
        with one_sentence(file, "a DICOM file", quote=False):
            dataset = image_dataset(file)
            if not datasets:
                check_series(path, dataset, len(files))
            planes += slices_of(file, dataset)[:1]
            arrays.append(decoded(file, dataset)[0])
        for keyword in ("PixelData", "FloatPixelData", "DoubleFloatPixelData"):
            if keyword in dataset:
                del dataset[keyword]
        datasets.append(dataset)
    planes = aligned(planes)
    order = sorted(range(len(planes)), key=lambda k: float(np.dot(planes[k].position or (0, 0, 0), planes[k].normal)))
    image = _image(path, [planes[k] for k in order], [(datasets[k], arrays[k]) for k in order])
    return replace(image, header=replace(image.header, notes=tuple(notes)), source=path)


def find(folder: Path, files: Iterable[Path]) -> list[Found | Rejected]:
    """The DICOM images among the files of one folder, one a series; a stack that forms no grid is rejected with its reason."""
    slices, rejected = headers(files)
    results: list[Found | Rejected] = list(rejected)
    stacks = stacks_of(slices)
    for stack in stacks:
        alone = len(stack.files) == 1
        where = stack.files[0] if alone else folder
        try:
            _check_sure(where, stack)
            if stack.placed:
                affine_of(where, stack.slices)
        except UnreadableImageError as error:
            results.append(Rejected(where, str(error), True))
            continue
        member = _inner(stack, stacks) if alone else stack.member
        lost = _lost(stack, stacks, rejected)
        if lost:
            reason = f"{where}: {len(lost)} of the files of series {stack.member} cannot be read, so that slices may be missing."
            results.append(Rejected(where, reason, True))
            continue
        results.append(Found(where, member, stack.files, Kind.DICOM, stack.notes, stack.series))
        results += [
            Rejected(copy, f"{copy} is a copy of another file beside it: the same instance, the same pixels.", False)
            for copy in stack.copies
        ]
    return results


def _lost(stack: Stack, stacks: Sequence[Stack], rejected: Mapping[Rejected, str]) -> list[Rejected]:
    """Files that were refused and are slices of this stack of several files.

    One whose series is not known counts where the folder has a single series; among several it only has its own reason.
    """
    if len(stack.files) == 1:
        return []
    own = (stack.series,) if len({other.series for other in stacks}) > 1 else (stack.series, "")
    return [file for file, series in rejected.items() if file.is_image and series in own]


def _inner(stack: Stack, stacks: Sequence[Stack]) -> str | None:
    """What ``read_file`` takes to read this stack of a file."""
    siblings = [other for other in stacks if other.files == stack.files]
    return None if len(siblings) == 1 else f"stack={siblings.index(stack)}"


def _image(path: Path, slices: Sequence[Slice], planes: Sequence[tuple[Any, Array]]) -> Image:
    """One picture (C, row, column) or volume (C, row, column, slice) from slices in the order of their positions."""
    dataset = planes[0][0]
    arrays: list[Array] = []
    masks, turned = [], None
    if _alike(planes):
        # What holds for all is done for all at once: a header may claim tens of thousands of frames.
        planes = [(dataset, np.stack([array for _, array in planes], axis=-1))]
    for plane, (owner, array) in zip(slices, planes, strict=len(planes) > 1):
        with one_sentence(plane.file, "a DICOM file", quote=False):
            masks.append(padding(array, owner, _layers(owner, plane.frame)))
            array, turned = in_modality_units(array, owner, _layers(owner, plane.frame), masks[-1])
        arrays.append(array)
    arrays = as_background(arrays, masks)
    header = about(dataset, _layers(dataset, slices[0].frame))
    header["instance"] = slices[0].name
    header["photometric"] = "RGB" if arrays[0].shape[0] == 3 else "MONOCHROME2"
    if turned is not None:
        header["inverted"] = True
        if isinstance(window := header.get("window"), tuple):
            header["window"] = (turned - window[0], window[1])
    if slices[0].placed:
        affine = affine_of(path, tuple(slices))
        header["spacing_known"] = True
        if is_sheared(affine):
            header["sheared"] = True
    else:
        affine = _flat(dataset, header)
    check_claim(path, (len(arrays), *arrays[0].shape), arrays[0].itemsize, 1 << 62)
    array = np.stack(arrays, axis=-1) if len(arrays) > 1 else arrays[0]
    return finished(path, array, affine, header)


def _alike(planes: Sequence[tuple[Any, Array]]) -> bool:
    """Whether they are frames of one file that are rescaled in the same way."""
    dataset = planes[0][0]
    return len(planes) > 1 and all(owner is dataset for owner, _ in planes) and not dataset.get("PerFrameFunctionalGroupsSequence")


def _loop(path: Path, slices: Sequence[Slice], planes: Sequence[tuple[Any, Array]]) -> Image:
    """(C, row, column, frame) of frames that form no volume."""
    image = _image(path, [replace(slices[0], position=None), *slices[1:]], planes)
    note = "the third axis counts frames, not places in the patient"
    times = frame_times(planes[0][0], len(slices))
    over_time = times is not None
    header = replace(
        image.header,
        spacing_known=False,
        axes_note=note,
        third_axis="time" if over_time else "frame",
        frame_times=times or (),
    )
    return replace(image, header=header, source=path)


def _flat(dataset: Any, header: dict[str, object]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Affine of a picture that lies nowhere in patient space: its pixel size where that is known, else it counts pixels."""
    size = pixel_size(dataset)
    header["spacing_known"] = size is not None
    header["orientation_known"] = False
    if size is None:
        return np.eye(4)
    header["spacing_at"] = size[1]
    return np.diag([size[0][0], size[0][1], 1.0, 1.0])


def _layers(dataset: Any, frame: int | None) -> list[Any]:
    """Where a frame's attributes are looked up, in this order: its own functional groups, the shared ones, the data set."""
    own = dataset.get("PerFrameFunctionalGroupsSequence") or []
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    number = frame or 0
    return [*own[number : number + 1], *shared[:1], dataset]


def _nothing(path: Path, rejected: Sequence[Rejected]) -> str:
    if rejected:
        if len(rejected) == 1:
            return rejected[0].reason
        return f"{path}: none of its {len(rejected)} DICOM files can be read; {rejected[0].reason}"
    inner = sorted(p.name for p in path.iterdir() if p.is_dir())
    if inner:
        names = ", ".join(inner[:6]) + (f" and {len(inner) - 6} more" if len(inner) > 6 else "")
        return f"{path} holds no DICOM series itself; give one of its folders ({names}) or a file."
    return f"{path} holds no DICOM series; give a folder with DICOM files, or an image file."


def _of_whom(stacks: Sequence[Stack]) -> str:
    """Of how many patients or studies they are, where of more than one."""
    owners = {stack.slices[0].owner for stack in stacks}
    patients, studies = len({owner.patient for owner in owners}), len({(owner.patient, owner.study) for owner in owners})
    return f" of {patients} patients" if patients > 1 else f" of {studies} studies" if studies > 1 else ""


def _described(stack: Stack) -> str:
    number = len(stack.slices)
    return f"{stack.member} ({number} slice{'s' if number > 1 else ''} of {stack.slices[0].shape[0]}×{stack.slices[0].shape[1]})"
