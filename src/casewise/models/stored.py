"""A model as it lies on disk: its description, weights and origin, and no network yet."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from casewise.models.spec import Lineage, Spec


@dataclass(frozen=True, eq=False)
class StoredModel:
    """What a folder or a file holds of a model; :class:`casewise.models.Model` can be used.

    weights : parameter name → tensor, on the CPU.
    foreign : a TorchScript file, where casewise cannot build the network from ``spec``; the weights in it are replaced by
        ``weights`` before it is used.
    """

    name: str
    spec: Spec
    weights: Mapping[str, Tensor]
    lineage: Lineage = field(default_factory=Lineage)
    foreign: Path | None = None

    @cached_property
    def key(self) -> str:
        """Content hash (hex): equal for equal settings and weights, whatever the name."""
        digest = hashlib.blake2b(repr(sorted(self.spec.to_toml().items())).encode(), digest_size=16)
        for name in sorted(self.weights):
            digest.update(name.encode())
            digest.update(self.weights[name].contiguous().flatten().view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()
