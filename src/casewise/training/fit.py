"""The one training loop: initial models, refinement on similar cases, subsets, sites and one image all go through :func:`fit`."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from casewise.case import Case
from casewise.device import faster, resolve_device
from casewise.errors import CasewiseError, ModelError, UsageError
from casewise.models.model import Model
from casewise.models.spec import Lineage
from casewise.optimizers import AdamW
from casewise.training.batches import Batches, CaseBatches, CaseWeights
from casewise.training.checkpoint import State
from casewise.training.objectives import Objective, TaskObjective
from casewise.training.settings import Settings

Progress = Callable[[int, int, float], None]


def fit(
    model: Model,
    batches: Batches | Sequence[Case],
    objective: Objective | None = None,
    *,
    order: str | Sequence[int] = "shuffled",
    weights: CaseWeights | None = None,
    trainable: str | Sequence[str] = "all",
    settings: Settings | None = None,
    validation: Sequence[Case] = (),
    method: str = "continued",
    name: str | None = None,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
) -> Model:
    """Train ``model`` on batches and return a new one that knows its parent, its cases and its measures.

    batches : cases, or what makes batches of them. order, weights : of cases: see :class:`casewise.training.batches.CaseBatches`.
    objective : what is minimised; without one, the loss of the model's own task, validated on the cases ``validation``.
    trainable : ``all``, ``last`` (the part named ``head``) or beginnings of parameter names.
    checkpoint : file from which an interrupted training goes on; deleted at the end. One of a training with another model, other
    batches, another objective or other settings is refused.
    The same model, batches, objective and settings give the same result on the same machine, interrupted or not.
    """
    model.check_trainable()
    settings = settings or Settings()
    if isinstance(batches, Sequence):
        batches = CaseBatches(batches, model.spec, order, weights, settings)
    elif weights is not None or order != "shuffled":
        raise UsageError("Order and weights are of cases; these batches have their own.")
    if objective is None:
        objective = TaskObjective(model.spec, validation, partial=settings.partial, device=settings.device)
    elif validation:
        raise UsageError("Validation cases go with the model's own task; this objective measures by itself.")
    loop = _Loop(model, batches, objective, trainable, settings, checkpoint)
    best = loop.run(progress)
    lineage = Lineage(
        method=method,
        parent=model.key if method != "initial" else None,
        parent_name=model.name if method != "initial" else None,
        trained_on=model.trained_on | set(batches.cases),
        refined_on=tuple(batches.cases) if method in ("similar", "subset") else (),
        settings={key: value for key, value in asdict(settings).items() if key != "device"} | {"cases": len(batches.cases)},
        measures={f"validation_{objective.measured}": loop.state.best_measure} if loop.state.best else {},
        training_data=model.lineage.training_data,
    )
    return Model(name or model.name, model.spec, best, lineage, model.foreign)


class _Loop:
    """One training: what it works on, and its steps."""

    def __init__(
        self,
        model: Model,
        batches: Batches,
        objective: Objective,
        trainable: str | Sequence[str],
        settings: Settings,
        checkpoint: Path | None,
    ) -> None:
        self.batches, self.objective, self.settings, self.checkpoint = batches, objective, settings, checkpoint
        self.device = resolve_device(settings.device)
        self.network = model.network(self.device)
        self.trained = _trainable(self.network, trainable)
        self.optimizer = AdamW(self.trained, lr=settings.rate, weight_decay=settings.weight_decay)
        key = _key(model, batches, objective, trainable, settings)
        self.state = State.load(checkpoint, key) if checkpoint else State(key)
        self.answer: Tensor | None = None
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
            if self.objective.measured and ((step + 1) % self.settings.validate_every == 0 or step + 1 == total):
                self._validate(loss)
                if self._exhausted():
                    break
            if self.checkpoint and (step + 1) % self.settings.checkpoint_every == 0:
                self._keep()

    def _step(self, step: int) -> float:
        rng = np.random.default_rng([self.settings.seed, step])
        batch = self.batches.batch(step, self.settings.batch, rng, self.answer).to(self.device)
        torch.manual_seed(int(np.random.default_rng([self.settings.seed, step, 11]).integers(2**62)))  # what dropout drops
        with faster(self.device, self.settings.mixed):
            answer = self.network(batch.x)
        self.answer = answer.detach() if isinstance(answer, Tensor) else None
        loss = self.objective.loss(answer, batch)
        if not torch.isfinite(loss):
            msg = f"Training broke off at step {step + 1}: the loss is not a number; try a lower rate than {self.settings.rate}."
            raise CasewiseError(msg)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.trained, 5.0)
        self.optimizer.step()
        return float(loss.detach())

    def _validate(self, loss: float) -> None:
        self.network.eval()
        measure = self.objective.measure(self.network)
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


def _trainable(network: nn.Module, trainable: str | Sequence[str]) -> list[nn.Parameter]:
    if next(network.parameters(), None) is None:
        msg = "This network has no parameters to train (a frozen TorchScript file has none); export it without torch.jit.freeze."
        raise ModelError(msg)
    beginnings = {"all": ("",), "last": ("head",)}.get(trainable) if isinstance(trainable, str) else tuple(trainable)
    beginnings = (str(trainable),) if beginnings is None else beginnings
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


def _key(model: Model, batches: Batches, objective: Objective, trainable: str | Sequence[str], settings: Settings) -> str:
    """All that a training's result depends on."""
    text = repr((model.key, batches.key, tuple(batches.cases), objective.key, settings, trainable))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
