"""A folder of nnU-Net v2's results as a model: ``plans.json``, ``dataset.json`` and ``fold_*/checkpoint_*.pth``."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from casewise.case import Structure
from casewise.errors import ModelError
from casewise.models.foreign.bundle import bounded_by
from casewise.models.foreign.nnunet_checkpoint import Checkpoint, read_checkpoint
from casewise.models.planned.network import build_planned
from casewise.models.planned.plan import configuration_of, plan_of
from casewise.models.planned.totalsegmentator import KnownModel, known_model, licences_of
from casewise.models.spec import PLANNED, Lineage, Spec
from casewise.models.stored import StoredModel

CHECKPOINTS = ("checkpoint_final.pth", "checkpoint_best.pth", "checkpoint_latest.pth")
_MOST_BYTES = 64 << 20
# Trainers of nnU-Net and of TotalSegmentator that leave network, preparation and prediction as the plans have them.
_TRAINERS = re.compile(
    r"nnUNetTrainer((Benchmark|DA5|NoDA|NoMirroring|CosAnneal|Adan|Adam|VanillaAdam|Dice|Topk|CELoss|NoDeepSupervision|SkeletonRecall"
    r"|_DASegOrd0|_noDummy2DDA|_onlyMirror01|_warmup|_probabilisticOversampling|_MOSAIC|_\d+epoch)(?!.*BN)\w*)?"
)
_OF_PLANS = ("dataset_name", "plans_name", "image_reader_writer", "transpose_forward", "transpose_backward", "label_manager",
             "foreground_intensity_properties_per_channel", "foreground_intensity_properties_by_modality",
             "original_median_spacing_after_transp", "original_median_shape_after_transp", "experiment_planner_used")  # fmt: skip
_OF_DATASET = ("channel_names", "modality", "labels", "regions_class_order", "file_ending", "numTraining", "name",
               "overwrite_image_reader_writer")  # fmt: skip


@dataclass(frozen=True)
class _Folder:
    """place : where plans.json lies. folds : the folders to take. known : what TotalSegmentator says of it, where it is its."""

    place: Path
    folds: tuple[Path, ...]
    known: KnownModel | None = None

    @classmethod
    def of(cls, place: Path, fold: Path | None = None) -> _Folder:
        known = known_model(place.resolve().parent.name)
        return cls(place, _folds(place, known) if fold is None else (fold,), known)


def is_planned(folder: Path) -> bool:
    """Whether nnU-Net v2 wrote ``folder``: a trained configuration, one of its folds, or a data set with trained configurations."""
    return bool(_places(folder))


def load_planned(folder: Path) -> StoredModel:
    """The model of a trained configuration; its folds together, or the one fold whose folder is named.

    Raises ModelError, one sentence: of several configurations, of a cascade, of a trainer that casewise does not know, of what is
    damaged or does not fit.
    """
    places = _places(folder)
    if len(places) > 1:
        names = ", ".join(str(one.place.name) for one in places)
        raise ModelError(f"{folder} holds several trained configurations ({names}); name the folder of one.")
    found = places[0]
    checkpoints = [read_checkpoint(_checkpoint(fold)) for fold in found.folds]
    network = _settings(found, checkpoints)
    spec = Spec.planned(network, _structures(network, found.known))
    weights = _weights(network, checkpoints, found)
    name = "-".join(part for part in (found.place.parent.name, spec.network["configuration"]) if part)
    licences = licences_of((found.known,)) if found.known is not None else ()
    return StoredModel(name, spec, weights, Lineage(method="foreign", training_data=licences))


def _structures(network: Mapping[str, Any], known: KnownModel | None) -> tuple[Structure, ...]:
    """Named as TotalSegmentator does where the model is its; else as dataset.json does."""
    if known is None:
        return ()
    own = plan_of(network).structures
    if len(own) < len(known.structures):
        raise ModelError(
            f"{known.folder} answers {len(own)} structures, and TotalSegmentator's has {len(known.structures)}; copy it again."
        )
    return tuple(Structure(name, (name,)) for name in (*known.structures, *own[len(known.structures) :]))


def _places(folder: Path) -> tuple[_Folder, ...]:
    if _described(folder):
        return (_Folder.of(folder),)
    if _described(folder.parent) and folder.name.startswith("fold_"):
        return (_Folder.of(folder.parent, folder),)
    return tuple(_Folder.of(place) for place in sorted(folder.glob("*__*__*")) if _described(place))


def _described(folder: Path) -> bool:
    return (folder / "plans.json").is_file() and (folder / "dataset.json").is_file()


def _folds(place: Path, known: KnownModel | None) -> tuple[Path, ...]:
    """Those that have a checkpoint, or of them the ones that TotalSegmentator uses; ``fold_all`` where there is no other."""
    folds = [fold for fold in sorted(place.glob("fold_*")) if any((fold / name).is_file() for name in CHECKPOINTS)]
    numbered = tuple(fold for fold in folds if fold.name != "fold_all")
    if known is not None and known.folds is not None:
        numbered = tuple(fold for fold in numbered if fold.name in {f"fold_{number}" for number in known.folds})
    return numbered or tuple(folds)


def _checkpoint(fold: Path) -> Path:
    return next((fold / name for name in CHECKPOINTS if (fold / name).is_file()), fold / CHECKPOINTS[0])


def _settings(found: _Folder, checkpoints: Sequence[Checkpoint]) -> dict[str, Any]:
    """How ``model.toml`` names the network: all that nnU-Net wrote which casewise, or nnU-Net again, needs."""
    if not checkpoints:
        names = ", ".join(CHECKPOINTS)
        raise ModelError(f"nnU-Net left no fold with a checkpoint in {found.place} ({names}); train one, or copy it there.")
    first = checkpoints[0]
    if any(
        (one.trainer, one.configuration, one.mirroring) != (first.trainer, first.configuration, first.mirroring)
        for one in checkpoints
    ):
        raise ModelError(f"The folds in {found.place} were trained in different ways; name the folder of one fold.")
    if _TRAINERS.fullmatch(first.trainer) is None:
        raise ModelError(
            f"{found.place} was trained by {first.trainer}, which may build another network or prepare images otherwise; "
            "casewise reads models of nnUNetTrainer and of its variants that change the training alone."
        )
    plans, dataset = _document(found.place / "plans.json"), _document(found.place / "dataset.json")
    kept = {key: plans[key] for key in _OF_PLANS if key in plans}
    kept["configurations"] = {first.configuration: configuration_of(plans, first.configuration)}
    settings: dict[str, Any] = {
        "kind": PLANNED,
        "configuration": first.configuration,
        "trainer": first.trainer,
        "mirroring": list(first.mirroring),
        "folds": [fold.name.removeprefix("fold_") for fold in found.folds],
        "plans": json.dumps(kept),
        "dataset": json.dumps({key: dataset[key] for key in _OF_DATASET if key in dataset}),
    }
    if found.known is None:
        return settings
    return settings | {"place": f"{found.known.folder}/{found.place.resolve().name}", "canonical": found.known.canonical.to_toml()}


def _document(path: Path) -> Mapping[str, Any]:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ModelError(f"{path} has {path.stat().st_size:,} bytes; nnU-Net's have at most {_MOST_BYTES:,}.")
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} cannot be read: {' '.join(str(error).split())[:200]}; copy it again.") from error
    if not isinstance(document, Mapping):
        raise ModelError(f"{path} holds a {type(document).__name__} where nnU-Net writes an object; copy it again.")
    return document


def _weights(settings: Mapping[str, Any], checkpoints: Sequence[Checkpoint], found: _Folder) -> dict[str, Tensor]:
    every = {f"{number}.{name}": value for number, one in enumerate(checkpoints) for name, value in one.weights.items()}
    with bounded_by(every, found.place):
        network = build_planned(settings)
    return {name: value for k, one in enumerate(checkpoints) for name, value in _of_fold(network.members[k], one, k, found).items()}


def _of_fold(member: nn.Module, checkpoint: Checkpoint, number: int, found: _Folder) -> dict[str, Tensor]:
    wanted = member.state_dict()
    missing = sorted(set(wanted) - set(checkpoint.weights))
    wrong = [name for name in wanted if name not in missing and checkpoint.weights[name].shape != wanted[name].shape]
    if missing or wrong:
        what = f"{missing[0]} is missing" if missing else f"{wrong[0]} has the shape {tuple(checkpoint.weights[wrong[0]].shape)}"
        raise ModelError(f"The weights in {found.folds[number]} do not fit the network of {found.place / 'plans.json'}: {what}.")
    return {f"members.{number}.{name}": checkpoint.weights[name].detach().float().clone() for name in wanted}
