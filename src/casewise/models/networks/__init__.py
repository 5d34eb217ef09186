"""Networks, one a file, and the one place that builds them from a model's settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from casewise.errors import ModelError

if TYPE_CHECKING:
    from torch import nn

# casewise's own; "monai" is built too. "head" is the interactive ones' last block, which is tuned to one image.
INTERACTIVE = ("prompt_unet", "p_net", "pc_net")
LESIONS = ("lesion_multitask", "lesion_fusion", "lesion_regression")
NETWORKS = ("unet", "classifier", "autoencoder", *INTERACTIVE, "head", "spots", *LESIONS)


def build(settings: Mapping[str, object], spatial_dims: int, in_channels: int, outputs: int) -> nn.Module:
    """The untrained network that ``settings`` (``kind`` and the kind's own settings) describe.

    outputs : channels of the logits: background and structures for a segmenter, classes for a classifier.
    """
    kind = settings.get("kind")
    channels = _channels(settings)
    if kind == "unet":
        from casewise.models.networks.unet import UNet

        return UNet(spatial_dims, in_channels, outputs, channels, _patch(settings))
    if kind == "classifier":
        from casewise.models.networks.classifier import Classifier

        return Classifier(spatial_dims, in_channels, outputs, channels, _patch(settings))
    if kind == "autoencoder":
        from casewise.models.networks.autoencoder import Autoencoder

        return Autoencoder(spatial_dims, in_channels, outputs, channels)
    if kind in INTERACTIVE or kind == "head":
        return _interactive(str(kind), spatial_dims, in_channels, outputs, settings)
    if kind in LESIONS:
        return _lesions(str(kind), spatial_dims, in_channels, outputs, settings)
    if kind == "spots":
        from casewise.models.networks.heatmap import spots

        members, cues = settings.get("members", 1), settings.get("cues", 0)
        if not isinstance(members, int) or not isinstance(cues, int) or members < 1 or cues < 0:
            msg = f"A network of spots has whole numbers of members and cues; got {members!r} and {cues!r}."
            raise ModelError(msg)
        thresholds = _probability(settings, "film_from"), _probability(settings, "mark_from")
        return spots(outputs, channels, str(settings.get("branch", "both")), members, cues, thresholds)
    if kind == "monai":
        from casewise.models.networks.monai_net import build_monai

        return build_monai(settings)
    msg = f"The network kind {kind!r} is unknown; casewise's own are {', '.join(NETWORKS)}."
    raise ModelError(msg)


def _probability(settings: Mapping[str, object], name: str) -> float:
    value = settings.get(name, 0.0)
    if not isinstance(value, int | float) or not 0 <= value <= 1:
        msg = f"{name} of a network of spots is a probability from 0 to 1; got {value!r}."
        raise ModelError(msg)
    return float(value)


def _interactive(kind: str, spatial_dims: int, in_channels: int, outputs: int, settings: Mapping[str, object]) -> nn.Module:
    """P-Net and PC-Net take one width for all blocks: the first of ``channels``."""
    if kind == "head":
        from casewise.models.networks.head import Head

        return Head(spatial_dims, in_channels - 1, outputs, hidden=_channels(settings)[0])
    from casewise.models.networks.prompts import prompts_of

    prompts = len(prompts_of(settings))
    if kind == "prompt_unet":
        from casewise.models.networks.prompt_unet import PromptUNet

        return PromptUNet(spatial_dims, in_channels, outputs, _channels(settings), prompts)
    if spatial_dims != {"p_net": 2, "pc_net": 3}[kind]:
        msg = f"P-Net is for pictures and PC-Net for volumes; got {kind} for {spatial_dims} axes."
        raise ModelError(msg)
    if kind == "p_net":
        from casewise.models.networks.p_net import PNet

        return PNet(in_channels, outputs, _channels(settings)[0], prompts)
    from casewise.models.networks.pc_net import PCNet

    return PCNet(in_channels, outputs, _channels(settings)[0], prompts)


def _lesions(kind: str, spatial_dims: int, in_channels: int, outputs: int, settings: Mapping[str, object]) -> nn.Module:
    """``told_by`` : numbers of the channels that the class is told from; all without it."""
    told = settings.get("told_by", list(range(in_channels)))
    mapped = settings.get("mapped", True)
    if not isinstance(told, list | tuple) or not told or not all(isinstance(n, int) and 0 <= n < in_channels for n in told):
        msg = f"A lesion network's told_by are numbers of its {in_channels} sequences, from 0; got {told!r}."
        raise ModelError(msg)
    if spatial_dims != 2 or not isinstance(mapped, bool):
        msg = f"A lesion network takes slices, and mapped is true or false; got {spatial_dims} axes and mapped {mapped!r}."
        raise ModelError(msg)
    channels, patch = _channels(settings), _patch(settings)
    if kind == "lesion_multitask":
        from casewise.models.networks.lesion_multitask import MultiTask

        return MultiTask(in_channels, outputs, channels, patch, told, mapped)
    if kind == "lesion_fusion":
        from casewise.models.networks.lesion_fusion import Fusion

        return Fusion(in_channels, outputs, channels, patch, told, mapped)
    from casewise.models.networks.lesion_regression import Regression

    return Regression(in_channels, channels, patch, told, mapped)


def _channels(settings: Mapping[str, object]) -> tuple[int, ...]:
    given = settings.get("channels", (8, 16, 32, 64))
    if not isinstance(given, list | tuple) or not 2 <= len(given) <= 8 or not all(isinstance(n, int) and n > 0 for n in given):
        msg = f"A network's channels are 2 to 8 positive numbers, finest level first; got {given!r}."
        raise ModelError(msg)
    return tuple(given)


def _patch(settings: Mapping[str, object]) -> int:
    given = settings.get("patch", 1)
    if not isinstance(given, int) or given not in (1, 2, 4):
        msg = f"A network's patch is 1, 2 or 4 voxels an axis; got {given!r}."
        raise ModelError(msg)
    return given
