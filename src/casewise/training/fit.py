"""The one training loop: initial models, refinement on similar cases, subsets, sites and one image all go through :func:`fit`."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from casewise.case import Case
from casewise.device import resolve_device
from casewise.errors import CasewiseError, ModelError, UsageError
from casewise.models.model import Model
from casewise.models.spec import Lineage, Spec
from casewise.training.augmentation import LEVELS, augment
from casewise.training.checkpoint import State
from casewise.training.losses import classification_loss, reconstruction_loss, segmentation_loss
from casewise.training.metrics import per_case
from casewise.training.samples import Sample, prepare, weighted
from casewise.training.source import Objective, Source

Progress = Callable[[int, int, float], None]
Penalty = Callable[[Tensor, Tensor], Tensor]
CaseWeights = Sequence[float] | Sequence[npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Settings:
    """steps of ``batch`` samples, AdamW at ``rate`` falling by a cosine to 5 % of it.

    augmentation : ``strong``, ``light`` or ``none``. With validation cases the best weights of all validations are returned, and
    training ends after ``patience`` validations (every ``validate_every`` steps) without a better one.
    partial : a structure that a case has no mask of may be there all the same; without it, it counts as absent.
    mixed : bfloat16 where it is enough, on the CPU too (a GPU always does): nearly half the time where the processor has it.
    """

    steps: int = 800
    batch: int = 8
    rate: float = 2e-3
    weight_decay: float = 1e-4
    augmentation: str = "strong"
    seed: int = 0
    device: str = "auto"
    validate_every: int = 100
    patience: int = 5
    checkpoint_every: int = 100
    partial: bool = False
    mixed: bool = False

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch < 1 or not 0 < self.rate < 1:
            msg = f"Training needs at least one step, one sample a batch and a rate between 0 and 1; got {self}."
            raise UsageError(msg)
        if min(self.validate_every, self.patience, self.checkpoint_every) < 1:
            msg = f"Validation, patience and checkpoints are counted from 1; got {self}."
            raise UsageError(msg)
        if self.augmentation not in LEVELS:
            msg = f"Augmentation is one of {', '.join(LEVELS)}; got {self.augmentation!r}."
            raise UsageError(msg)


def fit(
    model: Model,
    cases: Sequence[Case],
    order: str | Sequence[int] = "shuffled",
    weights: CaseWeights | None = None,
    trainable: str | Sequence[str] = "all",
    *,
    settings: Settings | None = None,
    validation: Sequence[Case] = (),
    method: str = "continued",
    name: str | None = None,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
    source: Source | None = None,
    penalty: Penalty | None = None,
    objective: Objective | None = None,
) -> Model:
    """Train ``model`` on ``cases`` and return a new one that knows its parent, its cases and its measures.

    order : ``shuffled`` (anew each round) or numbers of cases in the order in which every round shows them.
    weights : one number a case, or one array (*spatial) a case with a weight for every voxel.
    trainable : ``all``, ``last`` (the part named ``head``) or beginnings of parameter names.
    checkpoint : file from which an interrupted training goes on; deleted at the end.
    source : makes the batches from the cases itself, perhaps by what the network answered before (a simulated user); order, weights
    and augmentation are then its own.
    penalty : added to the loss, of the answer and the target as the loss has them: a discriminator's verdict, say.
    objective : the loss, in place of the task's, of a network that answers with more than one tensor; with a source alone.
    The same model, cases, settings and seed give the same result on the same machine, interrupted or not.
    """
    settings = settings or Settings()
    if not cases:
        msg = "There are no cases to train on; check the structure's or category's name, and which cases the archive has."
        raise CasewiseError(msg)
    loop = _Loop(model, cases, order, weights, trainable, settings, validation, checkpoint, source)
    loop.penalty, loop.objective = penalty, objective
    if (objective is not None or model.task == "lesions") and (objective is None or source is None):
        raise UsageError("An objective goes with a source of batches, and a lesion model with both: train it by casewise.lesions.")
    best = loop.run(progress)
    lineage = Lineage(
        method=method,
        parent=model.key if method != "initial" else None,
        parent_name=model.name if method != "initial" else None,
        trained_on=model.trained_on | {case.key for case in cases},
        refined_on=tuple(case.key for case in cases) if method in ("similar", "subset") else (),
        settings={key: value for key, value in asdict(settings).items() if key != "device"} | {"cases": len(cases)},
        measures=loop.measures(),
        training_data=model.lineage.training_data,
    )
    return Model(name or model.name, model.spec, best, lineage, model.foreign)


class _Loop:
    """One training: what it works on, and its steps."""

    def __init__(
        self,
        model: Model,
        cases: Sequence[Case],
        order: str | Sequence[int],
        weights: CaseWeights | None,
        trainable: str | Sequence[str],
        settings: Settings,
        validation: Sequence[Case],
        checkpoint: Path | None,
        source: Source | None,
    ) -> None:
        self.spec, self.settings, self.source = model.spec, settings, source
        self.penalty: Penalty | None = None
        self.objective: Objective | None = None
        self.device = resolve_device(settings.device)
        self.samples, self.case_weights = _weighted_samples(cases, weights, model.spec) if source is None else ([], [])
        self.validation, self.checkpoint = validation, checkpoint
        self.order = _checked_order(order, len(cases))
        self.network = model.network(self.device)
        self.trained = _trainable(self.network, trainable)
        self.optimizer = torch.optim.AdamW(self.trained, lr=settings.rate, weight_decay=settings.weight_decay)
        fingerprint = _fingerprint(model, cases, validation, settings, self.order, trainable, weights)
        fingerprint += source.key if source is not None else ""
        self.state = State.load(checkpoint, fingerprint) if checkpoint else State(fingerprint)
        if self.state.step:
            self.network.load_state_dict(self.state.network)
            self.optimizer.load_state_dict(self.state.optimizer)

    def run(self, progress: Progress | None) -> dict[str, Tensor]:
        """The trained weights, on the CPU: the best validated ones, or the last."""
        with torch.random.fork_rng(devices=[torch.cuda.current_device()] if self.device == "cuda" else []):
            self._steps(progress)
        if self.checkpoint:
            self.checkpoint.unlink(missing_ok=True)
        return self.state.best or _weights(self.network)

    def _steps(self, progress: Progress | None) -> None:
        total = self.settings.steps
        _train_mode(self.network)
        for step in range(self.state.step, total):
            for group in self.optimizer.param_groups:
                group["lr"] = self.settings.rate * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * step / total)))
            loss = self._step(step)
            self.state.step = step + 1
            if progress is not None:
                progress(step + 1, total, loss)
            if self._judged() and ((step + 1) % self.settings.validate_every == 0 or step + 1 == total):
                self._validate(loss)
                if self._exhausted():
                    break
            if self.checkpoint and (step + 1) % self.settings.checkpoint_every == 0:
                self._keep()

    def measures(self) -> dict[str, float]:
        return {f"validation_{self._measure_name()}": self.state.best_measure} if self.state.best else {}

    def _judged(self) -> bool:
        return bool(self.validation if self.objective is None else self.objective.measured)

    def _measure_name(self) -> str:
        if self.objective is not None:
            return self.objective.measured
        return {"segmentation": "dice", "classification": "log_likelihood"}.get(self.spec.task, "likeness")

    def _step(self, step: int) -> float:
        x, target, case_weights, voxel_weights, labelled = self._batch(step)
        torch.manual_seed(int(np.random.default_rng([self.settings.seed, step, 11]).integers(2**62)))  # what dropout drops
        with torch.autocast(self.device, dtype=torch.bfloat16, enabled=self.device == "cuda" or self.settings.mixed):
            logits = self.network(x)
        if self.source is not None and isinstance(logits, Tensor):
            self.source.answered(step, logits.detach().float().cpu())
        if self.objective is not None and voxel_weights is not None:
            loss = self.objective.loss(logits, target, voxel_weights)
        else:
            loss = self._task_loss(logits, x, target, case_weights, voxel_weights, labelled)
        if not torch.isfinite(loss):
            msg = f"Training broke off at step {step + 1}: the loss is not a number; try a lower rate than {self.settings.rate}."
            raise CasewiseError(msg)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.trained, 5.0)
        self.optimizer.step()
        return float(loss.detach())

    def _task_loss(
        self,
        logits: object,
        x: Tensor,
        target: Tensor,
        case_weights: Tensor,
        voxel_weights: Tensor | None,
        labelled: Tensor | None,
    ) -> Tensor:
        if (
            not isinstance(logits, Tensor)
            or logits.shape[1:2] != (self.spec.outputs,)
            or logits.ndim != (2 if self.spec.task == "classification" else x.ndim)
        ):
            msg = "This network answers otherwise while it is trained (deep supervision?); export it with that switched off."
            raise ModelError(msg)
        if self.spec.task == "segmentation":
            loss = segmentation_loss(logits.float(), target, case_weights, voxel_weights, labelled)
        elif self.spec.task == "classification":
            loss = classification_loss(logits.float(), target, case_weights)
        else:
            loss = reconstruction_loss(logits.float(), target, case_weights, voxel_weights)
        return loss if self.penalty is None else loss + self.penalty(logits.float(), target)

    def _batch(self, step: int) -> tuple[Tensor, Tensor, Tensor, Tensor | None, Tensor | None]:
        """The step's samples; a function of seed and step alone, so that a resumed training sees what it would have seen."""
        rng = np.random.default_rng([self.settings.seed, step])
        if self.source is not None:
            x, target, spread = self.source.batch(step, self.settings.batch, rng)
            ones = torch.ones(len(x), device=self.device)
            return x.to(self.device), target.to(self.device), ones, spread.to(self.device), None
        numbers = [self._case_at(step * self.settings.batch + place) for place in range(self.settings.batch)]
        picked = [self.samples[n][int(rng.integers(len(self.samples[n])))] for n in numbers]
        if self.spec.preparation.spacing is not None:
            picked = [_window(sample, self.spec.preparation.size, rng) for sample in picked]
        x = torch.stack([sample.x for sample in picked]).float()
        target = torch.stack([sample.target for sample in picked])
        voxel_weights = None
        if picked[0].voxel_weights is not None:
            voxel_weights = torch.stack([s.voxel_weights for s in picked if s.voxel_weights is not None]).float()
        clean = x
        level = LEVELS[self.settings.augmentation]
        if level is not None:
            generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
            maps = [(target, "nearest")] if self.spec.task == "segmentation" else []
            maps += [(voxel_weights, "linear")] if voxel_weights is not None else []
            x, moved = augment(x, maps, level, generator, self.spec.preparation.unit_range)
            target = moved[0] if self.spec.task == "segmentation" else target
            voxel_weights = moved[-1] if voxel_weights is not None else None
        if self.spec.task == "encoding":
            target = clean if level is None else x
        case_weights = torch.tensor([self.case_weights[n] for n in numbers], dtype=torch.float32)
        labelled = None
        if self.settings.partial and picked[0].labelled is not None:
            labelled = torch.stack([sample.labelled for sample in picked if sample.labelled is not None])
        sent = [t if t is None else t.to(self.device) for t in (x, target, case_weights, voxel_weights, labelled)]
        return sent[0], sent[1], sent[2], sent[3], sent[4]  # type: ignore[return-value]

    def _case_at(self, place: int) -> int:
        """Number of the case at a place of the endless row of rounds."""
        count = len(self.samples)
        if self.order is not None:
            return self.order[place % len(self.order)]
        return int(np.random.default_rng([self.settings.seed, place // count, 7]).permutation(count)[place % count])

    def _validate(self, loss: float) -> None:
        self.network.eval()
        if self.objective is not None:
            measure = self.objective.measure(self.network)
        else:
            values = per_case(self.network, self.spec, self.validation, self.device, self.settings.partial)
            measure = float(np.mean(values["dice"])) if "dice" in values else -float(np.mean(values["loss"]))
        _train_mode(self.network)
        self.state.curve.append((self.state.step, loss, measure))
        if measure > self.state.best_measure:
            self.state.best, self.state.best_measure = _weights(self.network), measure
            self.state.best_step = self.state.step

    def _exhausted(self) -> bool:
        return self.state.step - self.state.best_step >= self.settings.patience * self.settings.validate_every

    def _keep(self) -> None:
        if self.checkpoint:
            self.state.network, self.state.optimizer = _weights(self.network), self.optimizer.state_dict()
            self.state.save(self.checkpoint)


def _train_mode(network: nn.Module) -> None:
    """Training mode, but batch norm keeps its running statistics: a few steps on a few alike cases would spoil them."""
    network.train()
    for module in network.modules():
        if str(getattr(module, "original_name", type(module).__name__)).startswith("BatchNorm"):
            module.eval()


def _weights(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in network.state_dict().items()}


def _weighted_samples(
    cases: Sequence[Case], weights: CaseWeights | None, spec: Spec
) -> tuple[list[tuple[Sample, ...]], list[float]]:
    if weights is not None and len(weights) != len(cases):
        msg = f"There are {len(cases)} cases and {len(weights)} weights; give one weight for each case."
        raise UsageError(msg)
    if weights is not None and not all(np.isfinite(w).all() and np.min(w) >= 0 for w in weights):
        msg = "A weight is less than 0 or not a number; weights are 0 or more, and 0 takes a case or a voxel out."
        raise UsageError(msg)
    if weights is not None and not any(np.any(w) for w in weights):
        msg = "All weights are 0, so nothing would be learnt; give at least one case a weight above 0."
        raise UsageError(msg)
    if weights is not None and any(isinstance(weight, np.ndarray) for weight in weights):
        if spec.task != "segmentation":
            msg = f"Voxels are weighted for a segmenter alone, and this model is for {spec.task}; give one number a case."
            raise UsageError(msg)
        maps = [np.asarray(weight, np.float32) for weight in weights]
        return [weighted(case, spec, values) for case, values in zip(cases, maps, strict=True)], [1.0] * len(cases)
    plain = [float(weight) for weight in weights] if weights is not None else [1.0] * len(cases)
    return prepare(cases, spec), plain


def _checked_order(order: str | Sequence[int], count: int) -> list[int] | None:
    if isinstance(order, str) and order == "shuffled":
        return None
    numbers = list(order) if not isinstance(order, str) else []
    if not numbers or not all(isinstance(n, int | np.integer) and 0 <= n < count for n in numbers):
        msg = f"The order is 'shuffled' or numbers of cases from 0 to {count - 1}; got {order!r}."
        raise UsageError(msg)
    return [int(n) for n in numbers]


def _trainable(network: nn.Module, trainable: str | Sequence[str]) -> list[nn.Parameter]:
    if next(network.parameters(), None) is None:
        msg = "This network has no parameters to train (a frozen TorchScript file has none); export it without torch.jit.freeze."
        raise ModelError(msg)
    beginnings = (
        ("",)
        if trainable == "all"
        else ("head",)
        if trainable == "last"
        else (trainable,)
        if isinstance(trainable, str)
        else tuple(trainable)
    )
    chosen = []
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name.startswith(beginnings))
        if parameter.requires_grad:
            chosen.append(parameter)
    if not chosen:
        names = sorted({name.split(".")[0] for name, _ in network.named_parameters()})
        msg = f"Nothing of the network is named {trainable!r}; its parts are {', '.join(names)}."
        raise UsageError(msg)
    return chosen


def _window(sample: Sample, size: tuple[int, ...], rng: np.random.Generator) -> Sample:
    """A random window of ``size``; half the time around a labelled voxel."""
    centre = None
    if sample.target.ndim and rng.random() < 0.5:
        labelled = torch.nonzero(sample.target)
        if len(labelled):
            centre = labelled[int(rng.integers(len(labelled)))].tolist()
    starts = []
    for axis, (full, wanted) in enumerate(zip(sample.x.shape[1:], size, strict=True)):
        free = full - wanted
        start = int(rng.integers(free + 1)) if centre is None else centre[axis] - int(rng.integers(wanted))
        starts.append(min(max(0, start), free))
    window = tuple(slice(start, start + wanted) for start, wanted in zip(starts, size, strict=True))
    voxel_weights = sample.voxel_weights[window] if sample.voxel_weights is not None else None
    target = sample.target[window] if sample.target.ndim else sample.target
    return Sample(sample.x[(slice(None), *window)], target, voxel_weights, sample.labelled)


def _fingerprint(
    model: Model,
    cases: Sequence[Case],
    validation: Sequence[Case],
    settings: Settings,
    order: list[int] | None,
    trainable: str | Sequence[str],
    weights: CaseWeights | None,
) -> str:
    keys = [case.key for case in cases] + ["|"] + [case.key for case in validation]
    text = f"{model.key}{keys}{settings}{order}{trainable}"
    digest = hashlib.blake2b(text.encode(), digest_size=16)
    for weight in weights if weights is not None else ():
        digest.update(np.asarray(weight, np.float32).tobytes())
    return digest.hexdigest()
