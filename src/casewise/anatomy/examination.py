"""The sequences of one examination on one grid: grouped, registered to a reference, freed of their bias field, normalised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from casewise.anatomy.bias import without_bias
from casewise.anatomy.examination_reading import Given, Refused, Study, read_named, read_study, study_in
from casewise.anatomy.normalising import QUANTITATIVE, foreground, normalised
from casewise.anatomy.registering import Registration, from_itk, register, resampled
from casewise.anatomy.sequences import canonical, expected, kind_of, reference_of
from casewise.errors import CasewiseError, UnreadableImageError, UsageError
from casewise.image import Array, Image

Floats = npt.NDArray[np.float32]
_DIFFUSION = ("ADC", "DWI")


@dataclass(frozen=True, eq=False)
class Channel:
    """A sequence of the examination.

    given : its image as it was read. registered_to : the sequence it was registered to, None for the reference. registration : to
    that one. transform : from the reference's LPS mm to its own. covered : share of the reference's grid that it shows.
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

    image : (C, *spatial) float32, a channel a sequence, the reference first, normalised (:func:`casewise.anatomy.normalising`); its
    header is the reference's, with ``sequences`` (names, in the order of the channels) and ``reference``. Where a sequence shows
    nothing of the reference's grid, it has its own darkest value.
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
        """(1, *spatial) float32: a sequence on the reference's grid in its own intensities, 0 where it shows nothing."""
        channel = self.channel(name)
        return self._on_grid(channel.given.image, channel.transform)

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
        """(C, *spatial) of the named sequences in this order; a missing one is 0 everywhere and in ``header['absent']``.

        ``DWI`` is the one of the highest b value. Raises CasewiseError where none of them is there.
        """
        chosen = [self._nearest(name) for name in names]
        if not any(chosen):
            raise CasewiseError(f"The examination has none of {', '.join(names)}; it has {', '.join(self.names)}.")
        parts = [np.zeros(self.image.spatial_shape, np.float32) if n is None else self._values(n) for n in chosen]
        absent = tuple(name for name, own in zip(names, chosen, strict=True) if own is None)
        header = {**self.image.header, "sequences": tuple(names), "absent": absent}
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
        return self.reference.with_array(from_itk(resampled(image, self.reference, transform))[None])


def examination(
    source: Path | Sequence[tuple[str, Path]],
    *,
    reference: str | None = None,
    way: str = "rigid",
    bias: bool = True,
    seed: int = 0,
    threads: int = 1,
) -> Examination:
    """The examination in a DICOM study's folder, or of images named one by one.

    source : a folder, or (name, path) for each sequence. reference : the sequence whose grid all come to; for a folder FLAIR, else
    T2 (axial), else T1 post, …; for named images the first. way : ``rigid``, ``deformable``, or ``none``: as the files state.
    bias : whether bias fields are taken out. threads : 1 gives the same result on every machine.

    A sequence that cannot be used is refused with one sentence (:attr:`Examination.refused`), and the others go on.
    Raises CasewiseError for sequences of different patients, two of one name, and where no sequence is left.
    """
    if isinstance(source, Path):
        found = study_in(source)
        if found is None:
            msg = f"{source} holds no MR examination of several series; give its folder, or name images by --sequence NAME=IMAGE."
            raise UnreadableImageError(msg)
        return of_study(read_study(source, *found), reference=reference, way=way, bias=bias, seed=seed, threads=threads)
    first = canonical(source[0][0]) if source else None
    return of_study(read_named(source), reference=reference or first, way=way, bias=bias, seed=seed, threads=threads)


def of_study(
    study: Study, *, reference: str | None = None, way: str = "rigid", bias: bool = True, seed: int = 0, threads: int = 1
) -> Examination:
    """:func:`examination` of what was read."""
    names = [given.name for given in study.given]
    chosen = canonical(reference) if reference else reference_of(names)
    refused, notes = list(study.refused), list(study.notes)
    if chosen not in names:
        if chosen not in [entry.name for entry in refused]:
            raise UsageError(f"The reference {chosen!r} is none of the sequences: {', '.join(names)}.")
        notes.append(f"The reference {chosen} could not be used; {reference_of(names)} took its place.")
        chosen = reference_of(names)
    flat = {given.name: _flat(given, bias, threads, notes) for given in study.given}
    registrations = _registered(study.given, flat, chosen, way, seed, threads)
    by_name = {given.name: given for given in study.given}
    grid = by_name[chosen].image
    channels, arrays = [], []
    for name in (chosen, *(name for name in names if name != chosen)):
        target, registration, transform = registrations[name]
        values = by_name[name].image.with_array(normalised(flat[name], kind_of(name))[None])
        fill = float(values.array.min())
        array = from_itk(resampled(values, grid, transform, fill - 1.0)) if registration is not None else values.array[0]
        outside = array < fill - 0.01
        covered = 1.0 - float(outside.mean())
        reason = _why_not(name, target, registration, covered)
        if reason:
            refused.append(Refused(name, by_name[name].path, reason))
            continue
        arrays.append(np.where(outside, np.float32(fill), array) if outside.any() else array)
        channels.append(Channel(by_name[name], target, registration, transform, covered))
    kept = tuple(channel.name for channel in channels)
    header = {**grid.header, "sequences": kept, "reference": chosen}
    image = Image(np.stack(arrays), grid.affine, header, grid.source)
    kinds = {kind_of(name) for name in kept}
    missing = tuple(kind for kind in expected(names, study.body_part) if kind not in kinds)
    notes += [note for channel in channels for note in channel.given.notes]
    return Examination(image, tuple(channels), tuple(refused), missing, tuple(dict.fromkeys(notes)))


def _flat(given: Given, bias: bool, threads: int, notes: list[str]) -> Floats:
    """A sequence's values without their bias field; as they are for a quantitative one."""
    array = given.image.array[0].astype(np.float32)
    if not bias or given.kind in QUANTITATIVE:
        return array
    try:
        return without_bias(array, foreground(array), given.image.spacing, threads)
    except CasewiseError as error:
        notes.append(f"{given.name}: {error}")
        return array


def _registered(
    given: Sequence[Given], flat: Mapping[str, Floats], reference: str, way: str, seed: int, threads: int
) -> dict[str, tuple[str | None, Registration | None, Any]]:
    """For each name: what it was registered to, how well, and the transform from the reference to it."""
    images = {entry.name: entry.image.with_array(flat[entry.name][None]) for entry in given}
    done: dict[str, tuple[str | None, Registration | None, Any]] = {reference: (None, None, None)}
    targets = _targets(list(images), reference)
    for name in sorted(targets, key=lambda name: targets[name] != reference):
        target = targets[name]
        # Only the first of a family is bent: the others follow it.
        own = register(
            images[name], images[target], way if target == reference or way == "none" else "rigid", seed=seed, threads=threads
        )
        done[name] = (target, own, _joined(own.transform, done[target][2]))
    return done


def _targets(names: Sequence[str], reference: str) -> dict[str, str]:
    """What each sequence is registered to: the reference, but diffusion images to the ADC map (else the lowest b value).

    That one shows the same tissue by the same technique, with the same distortion; beside it they show too little of a T2 or T1.
    """
    family = sorted((name for name in names if kind_of(name) in _DIFFUSION), key=_b_value)
    hub = reference if reference in family else family[0] if family else reference
    return {name: hub if name in family and name != hub else reference for name in names if name != reference}


def _b_value(name: str) -> float:
    """0 for an ADC map, which comes before any image of diffusion."""
    _, _, value = name.partition(" b")
    digits = value.split(" ")[0]
    return float(digits) if digits.isdigit() else 0.0 if kind_of(name) == "ADC" else 0.5


def _joined(own: Any, above: Any) -> Any:
    if above is None:
        return own
    import SimpleITK

    return SimpleITK.CompositeTransform([own, above])


def _why_not(name: str, target: str | None, registration: Registration | None, covered: float) -> str:
    """One sentence where a registration is not to be trusted."""
    if registration is None:
        return ""
    if covered < 0.02:
        return f"{name} shows nothing of what the reference shows; it was left out."
    return registration.doubt(name, target or "the reference")
