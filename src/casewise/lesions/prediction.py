"""The prediction of a lesion model for an examination."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.ndimage import gaussian_filter1d

from casewise.device import resolve_device
from casewise.errors import CasewiseError, ModelError
from casewise.image import Box, Image
from casewise.label_map import LabelMap
from casewise.lesions.postprocessing import Lesions, outlined
from casewise.lesions.slices import only, scaled, shows, window
from casewise.models import tasks
from casewise.models.model import Model
from casewise.models.networks.lesion_parts import LesionAnswer
from casewise.models.preparation import Part
from casewise.models.tasks.lesions import LesionSettings, Rule
from casewise.probability import logistic

Floats = npt.NDArray[np.float32]
_BATCH = 16
_THIN_MM, _ACROSS_MM = 2.5, 1.0  # slices thinner than the first are smoothed with a Gaussian of the second


def sequences_of(model: Model) -> tuple[str, ...]:
    """The sequences that a lesion model takes, in the order of its channels. Raises ModelError for another kind of model."""
    return settings_of(model).sequences


def settings_of(model: Model) -> LesionSettings:
    """The settings of a lesion model. Raises ModelError for another kind."""
    if not isinstance(model.kind, tasks.Lesions):
        raise ModelError(f"Model {model.name} is for {model.kind}; lesions are found by one that `casewise train lesions` made.")
    return model.kind.settings


def predict(model: Model, image: Image, device: str = "auto", *, each: bool = True) -> Lesions:
    """The lesions of an examination.

    image : (sequences, *spatial), normalised, as ``examination.stacked(sequences_of(model))`` gives it; a missing sequence is named
    in ``header.absent``. each : whether the map of each sequence alone is made as well.
    Raises CasewiseError for another number of channels, and where no sequence is there.
    """
    settings = settings_of(model)
    names = settings.sequences
    if image.channels != len(names):
        msg = f"The model takes {len(names)} sequences ({', '.join(names)}); got {image.channels}. A missing one is all 0."
        raise CasewiseError(msg)
    whole = scaled(image)
    there = [number for number in range(len(names)) if whole.array[number].any()]
    if not there:
        raise CasewiseError(f"None of the sequences {', '.join(names)} is there; give at least one.")
    box = window(whole)
    ready = whole.crop(box)
    parts = model.spec.preparation.parts(ready)
    filled = [part for part in parts if shows(part)]
    together, verdicts, own = _answers(model, filled, resolve_device(device))
    maps = {names[there[0]]: together} if len(there) == 1 else {}
    if each and len(there) > 1:
        maps = {names[n]: own[:, n] if own is not None else _answers(model, filled, resolve_device(device), (n,))[0] for n in there}
    grids = {name: _placed(_assembled(model, parts, filled, found, ready), whole, box) for name, found in maps.items()}
    plain = grids[names[there[0]]] if len(there) == 1 else _placed(_assembled(model, parts, filled, together, ready), whole, box)
    combined, grids = _bright(model, plain, grids, image, [names[n] for n in there], box)
    classified = _classified(model, verdicts, _areas(together, settings.rule), there)
    calibration = settings.calibration_of([names[n] for n in there])
    mask, lesions, any_lesion = outlined(combined, image, settings.rule, plain, calibration)
    return Lesions(
        tuple(names[n] for n in there),
        tuple(name for n, name in enumerate(names) if n not in there),
        combined,
        LabelMap.like({"lesions": mask}, image),
        grids if each else {},
        any_lesion,
        classified.classes,
        classified.score,
        lesions,
    )


def _bright(
    model: Model, plain: Floats, grids: dict[str, Floats], image: Image, there: Sequence[str], box: Box
) -> tuple[Floats, dict[str, Floats]]:
    """The combined map, and those by each sequence, drawn out to where the model's settings say that it is bright."""
    brightness = settings_of(model).brightness
    if brightness is None or brightness.sequence not in there:
        return plain, grids
    values = image.array[sequences_of(model).index(brightness.sequence)][box.slices]
    drawn = [
        own
        if name not in ("", brightness.sequence)
        else _placed(brightness.applied(own[box.slices], values, image.spacing), image, box)
        for name, own in {"": plain, **grids}.items()
    ]
    return drawn[0], dict(zip(grids, drawn[1:], strict=True))


@dataclass(frozen=True)
class _Classified:
    classes: dict[str, float]
    score: float | None


def _answers(
    model: Model, parts: Sequence[Part], device: str, kept: Sequence[int] | None = None
) -> tuple[Floats, Floats, Floats | None]:
    """(map (N, row, column), verdicts (N, outputs), the maps by each sequence (N, sequences, row, column) or None), maps 0…1."""
    network = model.ready(device)
    size = model.spec.preparation.size
    maps: list[Floats] = [np.zeros((0, *size), np.float32)]
    verdicts: list[Floats] = []
    own: list[Floats] = []
    with torch.inference_mode():
        for start in range(0, len(parts), _BATCH):
            x = torch.stack([part.tensor() for part in parts[start : start + _BATCH]]).numpy()
            answer: LesionAnswer = network(torch.from_numpy(x if kept is None else only(x, kept)).to(device))
            logits = answer.map if answer.map is not None else torch.full((len(x), *size), -10.0)
            maps.append(logits.float().sigmoid().cpu().numpy())
            verdicts.append(answer.verdict.float().cpu().numpy())
            if answer.maps is not None:
                own.append(answer.maps.float().sigmoid().cpu().numpy())
    outputs = np.concatenate(verdicts) if verdicts else np.zeros((0, 1), np.float32)
    return np.concatenate(maps), outputs, np.concatenate(own) if own else None


def _assembled(model: Model, parts: Sequence[Part], filled: Sequence[Part], probabilities: Floats, image: Image) -> Floats:
    """(*spatial) on the image's grid; 0 in slices that show nothing. Thin slices are smoothed across: each was predicted alone."""
    if parts and parts[0].view.slices:
        thickness = image.spacing[parts[0].view.order[-1]]
        if thickness < _THIN_MM and len(probabilities) > 1:
            probabilities = gaussian_filter1d(probabilities, _ACROSS_MM / thickness, axis=0, mode="nearest")
    answers = {part.number: plane for part, plane in zip(filled, probabilities, strict=True)}
    planes = [
        part.restore(torch.from_numpy(answers[part.number])[None])
        if part.number in answers
        else np.zeros((1, *part.shape), np.float32)
        for part in parts
    ]
    return np.asarray(model.spec.preparation.assemble(planes, image)[0])


def _placed(values: Floats, whole: Image, box: Box) -> Floats:
    """(*spatial) of the whole image; 0 outside the box."""
    full = np.zeros(whole.spatial_shape, np.float32)
    full[box.slices] = values
    return full


def _areas(probabilities: Floats, rule: Rule) -> npt.NDArray[np.float64]:
    """(N,): pixels of lesion in each slice, and a little for what is nearly one."""
    return np.asarray((probabilities >= rule.threshold).sum(axis=(1, 2)) + 1e-3 * probabilities.sum(axis=(1, 2), dtype=np.float64))


def _classified(model: Model, verdicts: Floats, areas: npt.NDArray[np.float64], there: Sequence[int]) -> _Classified:
    """Of all slices together, each weighted by how much lesion it has: its area for a score, its probability for a class."""
    known = any(number in there for number in settings_of(model).class_sequences)
    regression = model.spec.architecture == "lesion_regression"
    if len(verdicts) == 0:
        return _Classified({}, 0.0 if regression else None)
    if regression:
        scores = logistic(verdicts[:, 0].astype(np.float64))
        score = float((scores * areas).sum() / areas.sum()) if areas.sum() > 0 else float(scores.max())
        return _Classified({}, score if known else None)
    odds = np.exp(verdicts.astype(np.float64) - verdicts.max(axis=1, keepdims=True))
    probabilities = odds / odds.sum(axis=1, keepdims=True)
    lesion = probabilities[:, 1:]
    shares = lesion.sum(axis=0) / max(float(lesion.sum()), 1e-9)
    ranked = sorted(zip(model.spec.classes[1:], shares, strict=True), key=lambda pair: -pair[1])
    return _Classified({name: float(share) for name, share in ranked} if known else {}, None)
