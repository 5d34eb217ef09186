"""Models that others made: TorchScript files and MONAI bundles, taken in without running any of their Python."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from casewise.errors import ModelError
from casewise.models.spec import Spec
from casewise.models.stored import StoredModel


def load_foreign(path: Path) -> StoredModel:
    """A TorchScript file with its description beside it, or a MONAI bundle's folder.

    Raises ModelError, one sentence (and what to write where a description is missing), for everything else.
    """
    if path.is_file():
        from casewise.models.foreign.torchscript import load_torchscript

        return load_torchscript(path)
    if (path / "configs").is_dir():
        from casewise.models.foreign.bundle import load_bundle

        return load_bundle(path)
    if _is_nnunet(path):
        msg = (
            f"{path} is an nnU-Net model, which casewise does not read yet; "
            "export its network as TorchScript and describe it (docs/how-to/bring-your-own-model.md)."
        )
        raise ModelError(msg)
    msg = (
        f"{path} is no model: it holds neither model.toml (a casewise model) nor configs/ (a MONAI bundle); "
        "a TorchScript model is named by its file."
    )
    raise ModelError(msg)


def foreign_network(path: Path, spec: Spec) -> nn.Module:
    """A fresh network from the TorchScript file ``path``, with the weights that lie in it.

    Raises ModelError where the file is gone or is not the one that ``spec`` was written for.
    """
    from casewise.models.foreign.torchscript import network_of

    return network_of(path, spec)


def ensure_network(path: Path, spec: Spec) -> None:
    """Raises ModelError where the TorchScript file ``path`` is gone or is not the one that ``spec`` was written for."""
    from casewise.models.foreign.torchscript import ensure_same

    ensure_same(path, spec)


def _is_nnunet(folder: Path) -> bool:
    places = (folder, *folder.glob("*__*__*"), folder.parent)
    return any((place / "plans.json").is_file() and (place / "dataset.json").is_file() for place in places)
