"""Models that others made: TorchScript files and MONAI bundles, taken in without running any of their Python."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from casewise.errors import ModelError
from casewise.models.planned.totalsegmentator import holds_models, names_task, whole_tasks
from casewise.models.spec import Spec
from casewise.models.stored import StoredModel


def load_foreign(path: Path) -> StoredModel:
    """A TorchScript file with its description beside it, a MONAI bundle's folder, a folder of nnU-Net's results, or a task of
    TotalSegmentator's folder of weights (``FOLDER#TASK``).

    Raises ModelError, one sentence (and what to write where a description is missing), for everything else.
    """
    if names_task(path):
        from casewise.models.foreign.totalsegmentator import load_task

        return load_task(path)
    if path.is_file():
        from casewise.models.foreign.torchscript import load_torchscript

        return load_torchscript(path)
    if (path / "configs").is_dir():
        from casewise.models.foreign.bundle import load_bundle

        return load_bundle(path)
    from casewise.models.foreign.nnunet_folder import is_planned, load_planned

    if is_planned(path):
        return load_planned(path)
    if holds_models(path):
        whole = ", ".join(whole_tasks(path)) or "none, since models are missing"
        raise ModelError(f"{path} holds TotalSegmentator's weights; name a task of it, such as '{path}#total' (here: {whole}).")
    msg = (
        f"{path} is no model: it holds neither model.toml (a casewise model) nor configs/ (a MONAI bundle) nor plans.json and "
        "dataset.json (nnU-Net's results); a TorchScript model is named by its file."
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
