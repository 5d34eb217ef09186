"""The model: immutable; a folder on disk with ``model.toml``, ``weights.safetensors``, ``trained_on.txt`` and ``card.md``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import nn

from casewise.device import resolve_device
from casewise.errors import ModelError, UsageError
from casewise.image import Image
from casewise.models.encoding import ModelEncoder
from casewise.models.foreign import foreign_network
from casewise.models.networks import build
from casewise.models.networks.answers import as_logits
from casewise.models.prediction import Prediction
from casewise.models.spec import JOINED, Spec
from casewise.models.storage import load, save
from casewise.models.stored import StoredModel
from casewise.models.tasks import Projection, Task, task_of


@dataclass(frozen=True, eq=False)
class Model(StoredModel):
    """A network's description, weights and origin. Nothing changes a model: training gives a new one."""

    @classmethod
    def initial(cls, name: str, spec: Spec, seed: int = 0) -> Model:
        """A model of casewise's own networks with random weights."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = build(spec.network, spec.preparation.spatial_dims, spec.preparation.channels, spec.outputs)
        return cls(name, spec, {key: value.clone() for key, value in network.state_dict().items()})

    @classmethod
    def load(cls, path: str | Path) -> Model:
        """A casewise model's folder, a MONAI bundle's folder, a TorchScript file, a folder of nnU-Net's results, or a task of
        TotalSegmentator's folder of weights (``FOLDER#total``, ``FOLDER#total:spleen,liver``). Raises ModelError, one sentence.
        """
        stored = load(Path(path))
        return cls(stored.name, stored.spec, stored.weights, stored.lineage, stored.foreign)

    def save(self, folder: str | Path) -> Path:
        """Write the model to ``folder``, which must not exist yet (a model is immutable); beside first, then renamed."""
        return save(self, Path(folder))

    @property
    def task(self) -> str:
        """The name of :attr:`kind`, as ``model.toml`` has it."""
        return self.spec.task

    @cached_property
    def kind(self) -> Task:
        """What kind of model it is: its samples, loss, measures, prediction and settings (:mod:`casewise.models.tasks`)."""
        return task_of(self.spec)

    @property
    def labels(self) -> tuple[str, ...]:
        return self.spec.labels

    @property
    def trained_on(self) -> frozenset[str]:
        """Keys of every case that this model or an ancestor was trained on."""
        return self.lineage.trained_on

    def network(self, device: str = "cpu") -> nn.Module:
        """A fresh network with this model's weights, in evaluation mode; the caller may train it without touching the model."""
        if self.foreign is not None:
            network = foreign_network(self.foreign, self.spec)
        else:
            preparation = self.spec.preparation
            with torch.random.fork_rng(devices=[]):  # a network is born with random weights; the caller's generator stays as it is
                network = build(self.spec.network, preparation.spatial_dims, preparation.channels, self.spec.outputs)
        network = as_logits(network, self.spec.network)
        try:
            # A joined model is never trained, and has many weights: its networks use the model's own.
            network.load_state_dict(dict(self.weights), assign=self.spec.architecture == JOINED)
        except RuntimeError as error:
            detail = " ".join(str(error).split())[:200]
            msg = f"The weights of model {self.name} do not fit its network: {detail}"
            raise ModelError(msg) from error
        return network.to(resolve_device(device)).eval()

    @cached_property
    def _ready(self) -> dict[str, nn.Module]:
        return {}

    def ready(self, device: str = "cpu") -> nn.Module:
        """The network for predicting, built once a device and kept; never to be trained."""
        device = resolve_device(device)
        if device not in self._ready:
            network = self.network(device)
            for parameter in network.parameters():  # TorchScript has no requires_grad_ for the whole
                parameter.requires_grad_(False)
            self._ready[device] = network
        return self._ready[device]

    def predict(self, image: Image, device: str = "auto") -> Prediction:
        """Segment or classify ``image``: probabilities and labels on its own grid. Raises ModelError for another kind of model."""
        if self.kind.refusal:
            msg = f"Model {self.name} {self.kind.refusal}"
            raise ModelError(msg)
        device = resolve_device(device)
        return self.kind.predict(self.ready(device), image, device)

    @property
    def has_encoder(self) -> bool:
        """Whether casewise knows the model's latent space: its own segmenters, classifiers and encoders have one."""
        return isinstance(self.kind, Projection) or self.spec.architecture in ModelEncoder.ARCHITECTURES

    def encoder(self, device: str = "auto") -> ModelEncoder:
        """This model's latent space, as an archive asks for it. Raises ModelError for a network that gives none."""
        device = resolve_device(device)
        encoder: object = None
        if self.has_encoder:
            network = self.ready(device)
            encoder = network if isinstance(self.kind, Projection) else getattr(network, "encoder", None)
        if not isinstance(encoder, nn.Module):
            msg = f"Model {self.name} has no encoder that casewise knows; compare images with casewise's own encoder instead."
            raise ModelError(msg)
        return ModelEncoder(encoder, self.spec.preparation, self.key, device)

    def check_trainable(self) -> None:
        """Raises UsageError for a model that nothing is trained from."""
        if self.kind.fixed:
            raise UsageError(f"Model {self.name} {self.kind.fixed}.")

    def renamed(self, name: str) -> Model:
        return replace(self, name=name)
