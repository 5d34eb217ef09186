"""The model: immutable; a folder on disk with ``model.toml``, ``weights.safetensors``, ``trained_on.txt`` and ``card.md``."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from casewise.device import resolve_device
from casewise.errors import ModelError
from casewise.image import Image
from casewise.models.networks import build
from casewise.models.networks.answers import as_logits
from casewise.models.prediction import Prediction, predict
from casewise.models.spec import Lineage, Spec

if TYPE_CHECKING:
    from casewise.models.encoding import ModelEncoder


@dataclass(frozen=True, eq=False)
class Model:
    """A network's description, weights and origin. Nothing changes a model: training gives a new one.

    weights : parameter name → tensor, on the CPU.
    foreign : a TorchScript file, where casewise cannot build the network from ``spec``; the weights in it are replaced by
        ``weights`` before it is used.
    """

    name: str
    spec: Spec
    weights: Mapping[str, Tensor]
    lineage: Lineage = field(default_factory=Lineage)
    foreign: Path | None = None

    @classmethod
    def initial(cls, name: str, spec: Spec, seed: int = 0) -> Model:
        """A model of casewise's own networks with random weights."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = build(spec.network, spec.preparation.spatial_dims, spec.preparation.channels, spec.outputs)
        return cls(name, spec, {key: value.clone() for key, value in network.state_dict().items()})

    @classmethod
    def load(cls, path: str | Path) -> Model:
        """A casewise model's folder, a MONAI bundle's folder, or a TorchScript file. Raises ModelError, one sentence."""
        from casewise.models.storage import load

        return load(Path(path))

    def save(self, folder: str | Path) -> Path:
        """Write the model to ``folder``, which must not exist yet (a model is immutable); beside first, then renamed."""
        from casewise.models.storage import save

        return save(self, Path(folder))

    @property
    def task(self) -> str:
        return self.spec.task

    @property
    def labels(self) -> tuple[str, ...]:
        return self.spec.labels

    @property
    def trained_on(self) -> frozenset[str]:
        """Keys of every case that this model or an ancestor was trained on."""
        return self.lineage.trained_on

    @cached_property
    def key(self) -> str:
        """Content hash (hex): equal for equal settings and weights, whatever the name."""
        digest = hashlib.blake2b(repr(sorted(self.spec.to_toml().items())).encode(), digest_size=16)
        for name in sorted(self.weights):
            digest.update(name.encode())
            digest.update(self.weights[name].contiguous().flatten().view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()

    def network(self, device: str = "cpu") -> nn.Module:
        """A fresh network with this model's weights, in evaluation mode; the caller may train it without touching the model."""
        if self.foreign is not None:
            from casewise.models.foreign import foreign_network

            network = foreign_network(self.foreign, self.spec)
        else:
            preparation = self.spec.preparation
            with torch.random.fork_rng(devices=[]):  # a network is born with random weights; the caller's generator stays as it is
                network = build(self.spec.network, preparation.spatial_dims, preparation.channels, self.spec.outputs)
        network = as_logits(network, self.spec.network)
        try:
            network.load_state_dict(dict(self.weights))
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

    def predict(self, image: Image, device: str = "cpu") -> Prediction:
        """Segment or classify ``image``: probabilities and labels on its own grid."""
        if self.task == "encoding":
            msg = f"Model {self.name} compares images and answers nothing about one; choose a segmenter or classifier."
            raise ModelError(msg)
        if self.task == "lesions":
            msg = (
                f"Model {self.name} takes an examination's sequences together; declare it as an application "
                "(docs/how-to/lesions.md), or give it to casewise.lesions.predict."
            )
            raise ModelError(msg)
        return predict(self, image, resolve_device(device))

    def encoder(self, device: str = "cpu") -> ModelEncoder:
        """This model's latent space, as an archive asks for it. Raises ModelError for a network that gives none."""
        from casewise.models.encoding import ModelEncoder

        return ModelEncoder(self, resolve_device(device))

    def renamed(self, name: str) -> Model:
        return replace(self, name=name)
