"""Settings of a kind of model, as ``model.toml`` keeps them beside the network's own: read into types, and written back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

import msgspec

from casewise.models.documents import read
from casewise.models.spec import Spec

T = TypeVar("T")


def own_settings(spec: Spec, kind: type[T]) -> T:
    """The settings of ``spec`` that ``kind`` names. Raises ModelError, one sentence, where they are not of that kind."""
    return read(
        spec.network, kind, f"The network of this {spec.architecture} model", "copy the model again from where it was made."
    )


def with_settings(spec: Spec, settings: Mapping[str, object]) -> Spec:
    """``spec`` with settings of its kind set, by their names."""
    written = {name: msgspec.to_builtins(value) for name, value in settings.items()}
    return replace(spec, network={**spec.network, **written})
