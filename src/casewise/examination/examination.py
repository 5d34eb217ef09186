"""The sequences of one examination on one grid: grouped, registered to a reference, freed of their bias field, normalised."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from casewise.errors import CasewiseError, UnreadableImageError, UsageError
from casewise.examination.bias_field import without_bias
from casewise.examination.normalisation import QUANTITATIVE, foreground, normalised
from casewise.examination.reading import Given, Refused, Source, Study, read_named, read_study, study_in
from casewise.examination.sequences import canonical, expected, kind_of, reference_of
from casewise.image import Array, Image
from casewise.progress import Progress, silent
from casewise.registration.pairwise import WORTH, Registration, from_itk, one_thread_each, register, resampled

Floats = npt.NDArray[np.float32]
_DIFFUSION = ("ADC", "DWI")
_FLATTENING, _REGISTERING = "Correcting bias fields", "Registering sequences"
DISTORTED = 1.12  # echo-planar images are bent by air: a rigid place that is a little better follows the bend, not the patient


@dataclass(frozen=True, eq=False)
class Channel:
    """A sequence of the examination.

    given : its image as it was read. registered_to : the sequence it was registered to, None for the reference. registration : to
    that one. transform : from the reference's LPS mm to its own. covered : share of the reference's grid that it covers.
    """

    given: Given
    registered_to: str | None
    registration: Registration | None
    transform: Any
    covered: float

    @property
    def name(self) -> str:
        return self.given.name

    def to_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "image": str(self.given.path),
            "member": self.given.member,
            "told_by": self.given.told_by,
            "reference": self.registration is None,
            "covered": round(self.covered, 4),
            "registration": None if self.registration is None else {"to": self.registered_to, **self.registration.to_json()},
            "notes": list(self.given.notes),
        }


@dataclass(frozen=True, eq=False)
class Examination:
    """One patient's sequences on the grid of the reference.

    image : (C, *spatial) float32, a channel a sequence, the reference first, normalised
    (:func:`casewise.examination.normalisation`); its header is the reference's, with ``sequences`` (names, in the order of the
    channels) and ``reference``. Where a sequence covers nothing of the reference's grid, it has its own darkest value.
    channels : the sequences, in the same order. refused : images that were to be part of it. missing : sequences that such an
    examination usually has and this one has not. notes : sentences for the report.
    """

    image: Image
    channels: tuple[Channel, ...]
    refused: tuple[Refused, ...] = ()
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(channel.name for channel in self.channels)

    @property
    def reference(self) -> Image:
        """The reference as it was read: its grid is that of all findings."""
        return self.channels[0].given.image

    def channel(self, name: str) -> Channel:
        """Raises CasewiseError for a sequence that the examination has not."""
        for channel in self.channels:
            if channel.name == name:
                return channel
        raise CasewiseError(f"The examination has no sequence {name!r}; it has {', '.join(self.names)}.")

    def registered(self, name: str) -> Image:
        """(1, *spatial) float32: a sequence on the reference's grid in its own intensities, 0 where it covers nothing."""
        channel = self.channel(name)
        return self._on_grid(channel.given.image, channel.transform)

    def of_model(self, names: Sequence[str]) -> Image:
        """(C, *spatial) float32: the sequences that a model takes, by its own names, as :meth:`registered`.

        Raises CasewiseError where the examination lacks one: a model must not take a missing sequence for a dark one.
        """
        own = {canonical(name): name for name in self.names}
        missing = [name for name in names if canonical(name) not in own]
        if missing:
            why = "".join(f" {one.reason}" for one in self.refused if one.name in map(canonical, missing))
            raise CasewiseError(f"The model takes {', '.join(names)}, and the examination has {', '.join(self.names)} alone.{why}")
        parts = [self.registered(own[canonical(name)]) for name in names]
        # Its voxels are stored as the reference's; it is known by the first sequence's file, as an archive knows such a case.
        header = replace(parts[0].header, format=self.reference.header.format, sequences=tuple(names))
        return Image(np.concatenate([part.array for part in parts]), self.reference.affine, header, parts[0].source)

    def stated(self, name: str) -> Image:
        """The same where the files state that it lies: as it was before the registration."""
        return self._on_grid(self.channel(name).given.image, None)

    def carried(self, name: str, mask: Array) -> npt.NDArray[np.bool_]:
        """(*spatial) bool on the reference's grid of a mask (*spatial, of a sequence's own grid), by the nearest voxel.

        Raises CasewiseError for a mask on another grid.
        """
        channel = self.channel(name)
        own = channel.given.image
        if tuple(mask.shape) != own.spatial_shape:
            msg = (
                f"The mask has the shape {tuple(mask.shape)} and its sequence {name} {own.spatial_shape}; "
                "bring the mask onto the grid of the sequence it was drawn on."
            )
            raise CasewiseError(msg)
        picture = own.with_array(np.asarray(mask, np.float32)[None])
        return from_itk(resampled(picture, self.reference, channel.transform, nearest=True)) > 0.5

    def stacked(self, names: Sequence[str]) -> Image:
        """(C, *spatial) of the named sequences in this order; a missing one is 0 everywhere and in ``header.absent``.

        ``DWI`` is the one of the highest b value. Raises CasewiseError where none of them is there.
        """
        chosen = [self._nearest(name) for name in names]
        if not any(chosen):
            raise CasewiseError(f"The examination has none of {', '.join(names)}; it has {', '.join(self.names)}.")
        parts = [np.zeros(self.image.spatial_shape, np.float32) if n is None else self._values(n) for n in chosen]
        absent = tuple(name for name, own in zip(names, chosen, strict=True) if own is None)
        header = replace(self.image.header, sequences=tuple(names), absent=absent)
        return Image(np.stack(parts), self.image.affine, header, self.image.source)

    def to_json(self) -> dict[str, object]:
        return {
            "sequences": [channel.to_json() for channel in self.channels],
            "missing_sequences": list(self.missing),
            "refused_sequences": [refused.to_json() for refused in self.refused],
        }

    def _nearest(self, name: str) -> str | None:
        if name in self.names:
            return name
        values = [(_b_value(own), own) for own in self.names if kind_of(own) == name == "DWI"]
        return max(values)[1] if values else None

    def _values(self, name: str) -> Floats:
        values: Floats = self.image.array[self.names.index(name)]
        return values

    def _on_grid(self, image: Image, transform: Any) -> Image:
        array = from_itk(resampled(image, self.reference, transform))[None]
        # Its window was the scanner's for its own slices; ``directions`` are of its own axes.
        header = replace(image.header, window=None, directions=None)
        return Image(array, self.reference.affine, header, image.source)


def examination(
    source: Path | Source, *, bias: bool = True, seed: int = 0, workers: int | None = None, progress: Progress = silent
) -> Examination:
    """The examination in a DICOM study's folder, or of images named one by one.

    bias : whether bias fields are taken out. workers : how many sequences are worked on at a time, by default one a core; the
    result does not depend on it. progress : called for each sequence that is read, freed of its bias field, and registered.

    A sequence that cannot be used is refused with one sentence (:attr:`Examination.refused`), and the others go on.
    Raises CasewiseError for sequences of different patients, two of one name, and where no sequence is left.
    """
    source = source if isinstance(source, Source) else Source(folder=source)
    if source.folder is None:
        study = read_named(source.files, progress)
        return of_study(study, source, bias=bias, seed=seed, workers=workers, progress=progress)
    found = study_in(source.folder)
    if found is None:
        msg = f"{source} holds no MR examination of several series; give its folder, or name images by --sequence NAME=IMAGE."
        raise UnreadableImageError(msg)
    study = read_study(source.folder, *found, progress)
    return of_study(study, source, bias=bias, seed=seed, workers=workers, progress=progress)


def of_study(
    study: Study,
    source: Source | None = None,
    *,
    bias: bool = True,
    seed: int = 0,
    workers: int | None = None,
    progress: Progress = silent,
) -> Examination:
    """:func:`examination` of what was read."""
    source = source or Source()
    refused, notes = list(study.refused), list(study.notes)
    chosen = _reference(study, source, notes)
    given = sorted(study.given, key=lambda entry: entry.name != chosen)
    grid = given[0].image
    with one_thread_each(), ThreadPoolExecutor(max(1, workers or min(len(given), os.cpu_count() or 1))) as pool:
        flat: dict[str, tuple[Floats, str]] = {}
        if bias:
            progress(_FLATTENING, 0, len(given))
        for entry, own in zip(given, pool.map(lambda entry: _flat(entry, bias), given), strict=True):
            flat[entry.name] = own
            if bias:
                progress(_FLATTENING, len(flat), len(given), entry.name)
        placed = _registered(given, {name: values for name, (values, _) in flat.items()}, source.way, seed, pool, progress)
    notes += [note for _, note in flat.values() if note]
    channels, arrays = [], []
    for entry in given:
        target, registration, transform = placed[entry.name]
        array, covered = _on(grid, entry, flat.pop(entry.name)[0], transform if registration else None)
        doubt = _doubt(entry.name, target, registration, covered)
        if doubt:
            refused.append(Refused(entry.name, entry.path, doubt))
            continue
        arrays.append(array)
        channels.append(Channel(entry, target, registration, transform, covered))
    channels, arrays = _without_a_place(channels, arrays, refused)
    names = tuple(channel.name for channel in channels)
    image = Image(np.stack(arrays), grid.affine, replace(grid.header, sequences=names, reference=chosen), grid.source)
    usual = expected([entry.name for entry in study.given], study.body_part)
    missing = tuple(kind for kind in usual if kind not in {kind_of(name) for name in names})
    notes += [note for channel in channels for note in channel.given.notes]
    return Examination(image, tuple(channels), tuple(refused), missing, tuple(dict.fromkeys(notes)))


def _reference(study: Study, source: Source, notes: list[str]) -> str:
    names = [given.name for given in study.given]
    wanted = source.reference or (source.files[0][0] if source.files else None)
    if wanted is None:
        return reference_of(names)
    chosen = canonical(wanted)
    if chosen in names:
        return chosen
    if chosen not in [entry.name for entry in study.refused]:
        raise UsageError(f"The reference {chosen!r} is none of the sequences: {', '.join(names)}.")
    notes.append(f"The reference {chosen} could not be used; {reference_of(names)} took its place.")
    return reference_of(names)


def _flat(given: Given, bias: bool) -> tuple[Floats, str]:
    """(a sequence's values without their bias field, or as they are for a quantitative one; a sentence where none was found)."""
    array = given.image.array[0].astype(np.float32)
    if not bias or given.kind in QUANTITATIVE:
        return array, ""
    try:
        return without_bias(array, foreground(array), given.image.spacing), ""
    except CasewiseError as error:
        return array, f"{given.name}: {error}"


def _on(grid: Image, given: Given, flat: Floats, transform: Any) -> tuple[Floats, float]:
    """(a sequence's normalised values on the reference's grid, the share of it that it covers)."""
    values = normalised(flat, given.kind)
    if given.image is grid:
        return values, 1.0
    fill = float(values.min())
    array = from_itk(resampled(given.image.with_array(values[None]), grid, transform, fill - 1.0))
    outside = array < fill - 0.01
    return np.where(outside, np.float32(fill), array), 1.0 - float(outside.mean())


def _registered(
    given: Sequence[Given],
    flat: Mapping[str, Floats],
    way: str,
    seed: int,
    pool: ThreadPoolExecutor,
    progress: Progress,
) -> dict[str, tuple[str | None, Registration | None, Any]]:
    """For each name: what it was registered to, how well, and the transform from the reference (the first given) to it."""
    images = {entry.name: entry.image.with_array(flat[entry.name][None]) for entry in given}
    reference = given[0].name
    done: dict[str, tuple[str | None, Registration | None, Any]] = {reference: (None, None, None)}
    to = targets(list(images), reference)
    if to and way != "none":
        progress(_REGISTERING, 0, len(to))
    # Only those that go to the reference are bent: the others follow them.
    for names, how in (
        ([name for name, target in to.items() if target == reference], way),
        ([name for name, target in to.items() if target != reference], "none" if way == "none" else "rigid"),
    ):
        worth = [DISTORTED if kind_of(name) in _DIFFUSION and to[name] == reference else WORTH for name in names]
        pairs = zip(names, worth, strict=True)
        found = pool.map(lambda pair, how=how: register(images[pair[0]], images[to[pair[0]]], how, worth=pair[1], seed=seed), pairs)
        for name, own in zip(names, found, strict=True):
            done[name] = (to[name], own, _joined(own.transform, done[to[name]][2]))
            if way != "none":
                progress(_REGISTERING, len(done) - 1, len(to), name)
    return done


def targets(names: Sequence[str], reference: str) -> dict[str, str]:
    """What each sequence is registered to: the reference, but diffusion images to the ADC map (else the lowest b value).

    That one images the same tissue by the same technique, with the same distortion; beside it they have too little in common with
    a T2 or T1.
    """
    family = sorted((name for name in names if kind_of(name) in _DIFFUSION), key=_b_value)
    hub = reference if reference in family else family[0] if family else reference
    return {name: hub if name in family and name != hub else reference for name in names if name != reference}


def _b_value(name: str) -> float:
    """0 for an ADC map, which comes before any image of diffusion."""
    digits = name.partition(" b")[2].split(" ")[0]
    return float(digits) if digits.isdigit() else 0.0 if kind_of(name) == "ADC" else 0.5


def _joined(own: Any, above: Any) -> Any:
    if above is None:
        return own
    import SimpleITK

    return SimpleITK.CompositeTransform([own, above])


def _without_a_place(channels: list[Channel], arrays: list[Floats], refused: list[Refused]) -> tuple[list[Channel], list[Floats]]:
    """The channels whose places are known, and their arrays: what was registered to a sequence that itself did not fit goes."""
    gone = {entry.name for entry in refused}
    kept = []
    for number, channel in enumerate(channels):
        if channel.registered_to not in gone:
            kept.append(number)
            continue
        reason = (
            f"{channel.name} was registered to {channel.registered_to}, which was left out, so that its own place is not known."
        )
        refused.append(Refused(channel.name, channel.given.path, reason))
    return [channels[number] for number in kept], [arrays[number] for number in kept]


def _doubt(name: str, target: str | None, registration: Registration | None, covered: float) -> str:
    """One sentence where a registration is not to be trusted."""
    if registration is None:
        return ""
    if covered < 0.02:
        return f"{name} covers nothing of what the reference covers; it was left out."
    return registration.doubt(name, target or "the reference")
