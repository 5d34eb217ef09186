"""Networks, one a file, and the one place that builds them from a model's settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from casewise.errors import ModelError
from casewise.models.documents import read

if TYPE_CHECKING:
    from torch import nn

# casewise's own; "monai" is built too. "head" is the interactive ones' last block, which is tuned to one image.
INTERACTIVE = ("prompt_unet", "p_net", "pc_net")
LESIONS = ("lesion_multitask", "lesion_fusion", "lesion_regression")
NETWORKS = (
    "unet",
    "efficient_unet",
    "shared_classifier",
    "classifier",
    "attended",
    "autoencoder",
    "projected",
    *INTERACTIVE,
    "head",
    "segment_detector",
    "spots",
    "diffuse",
    *LESIONS,
)
_ALLOWED = "channels are 2 to 8 positive numbers, finest level first, and patch is 1, 2 or 4 voxels an axis."
_Width = Annotated[int, msgspec.Meta(gt=0)]
_Number = Annotated[int, msgspec.Meta(ge=0)]
_Probability = Annotated[float, msgspec.Meta(ge=0, le=1)]


class _Plain(msgspec.Struct):
    channels: Annotated[tuple[_Width, ...], msgspec.Meta(min_length=2, max_length=8)] = (8, 16, 32, 64)
    patch: Literal[1, 2, 4] = 1


class _Prompted(_Plain):
    """reach : how many neighbouring planes either way a plane of a volume learns from, at each level but the finest."""

    reach: Annotated[int, msgspec.Meta(ge=1, le=8)] = 1
    context: _Number = 0


class _Detector(msgspec.Struct):
    channels: tuple[_Width, _Width] = (32, 48)
    branch: str = "both"
    members: _Width = 1
    pixel_mm: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    placing: Literal["region", "lungs"] = "region"
    spots: bool = False
    cues: _Number = 0
    film_slope: float = 1.0
    film_shift: float = 0.0
    film_from: _Probability = 0.0
    mark_from: _Probability = 0.0


class _Projected(msgspec.Struct):
    numbers: tuple[_Width, _Width]


class _Spots(_Plain):
    members: _Width = 1


class _Lesions(_Plain):
    """told_by : numbers of the channels that the class is predicted from; all without it."""

    told_by: tuple[_Number, ...] | None = None
    mapped: bool = True


def build(settings: Mapping[str, object], spatial_dims: int, in_channels: int, outputs: int) -> nn.Module:
    """The untrained network that ``settings`` (``kind`` and the kind's own settings) describe.

    outputs : channels of the logits: background and structures for a segmenter, classes for a classifier.
    """
    kind = settings.get("kind")
    what = f"A network of the kind {kind!r}"
    if kind == "monai":
        from casewise.models.networks.monai_net import build_monai

        return build_monai(settings)
    if kind == "nnunet":
        from casewise.models.planned.network import build_planned

        return build_planned(settings)
    if kind == "joined":
        from casewise.models.planned.network import build_joined

        return build_joined(settings)
    if kind in INTERACTIVE or kind == "head":
        return _interactive(str(kind), spatial_dims, in_channels, outputs, settings, read(settings, _Prompted, what, _ALLOWED))
    if kind in LESIONS:
        return _lesions(str(kind), spatial_dims, in_channels, outputs, read(settings, _Lesions, what, _ALLOWED))
    if kind == "segment_detector":
        from casewise.models.networks.segment_detector import Reporting, segment_detector

        own = read(settings, _Detector, what, "channels are two positive numbers, members 1 or more.")
        reporting = Reporting(own.film_slope, own.film_shift, own.film_from, own.mark_from)
        return segment_detector(outputs, own.channels, own.branch, own.members, own.spots, own.cues, reporting)
    if kind == "spots":
        from casewise.models.networks.spots import SpotNetworks

        several = read(settings, _Spots, what, "members are 1 or more.")
        return SpotNetworks(outputs, several.channels, several.members)
    if kind == "diffuse":
        from casewise.models.networks.diffuse import Diffuse

        return Diffuse()
    if kind == "attended":
        from casewise.models.networks.attended import Attended

        if (spatial_dims, in_channels) != (2, 1):
            raise ModelError(f"An attended network takes grey pictures; got {spatial_dims} axes and {in_channels} channels.")
        return Attended(outputs)
    if kind == "projected":
        from casewise.models.networks.projected import Projected

        if (spatial_dims, in_channels) != (2, 3):
            raise ModelError(f"A projected network takes pictures in colours; got {spatial_dims} axes and {in_channels} channels.")
        return Projected(read(settings, _Projected, what, "numbers are two, each 1 or more.").numbers)
    if kind not in NETWORKS:
        msg = f"The network kind {kind!r} is unknown; casewise's own are {', '.join(NETWORKS)}."
        raise ModelError(msg)
    plain = read(settings, _Plain, what, _ALLOWED)
    if kind == "unet":
        from casewise.models.networks.unet import UNet

        return UNet(spatial_dims, in_channels, outputs, plain.channels, plain.patch)
    if kind == "efficient_unet":
        return _efficient(spatial_dims, in_channels, outputs, plain.channels)
    if kind == "shared_classifier":
        return _shared_classifier(spatial_dims, in_channels, outputs)
    if kind == "classifier":
        from casewise.models.networks.classifier import Classifier

        return Classifier(spatial_dims, in_channels, outputs, plain.channels, plain.patch)
    from casewise.models.networks.autoencoder import Autoencoder

    return Autoencoder(spatial_dims, in_channels, outputs, plain.channels)


def _efficient(spatial_dims: int, in_channels: int, outputs: int, channels: tuple[int, ...]) -> nn.Module:
    from casewise.models.networks.efficient_unet import EfficientUNet

    if spatial_dims != 2 or len(channels) != 4:
        msg = f"An efficient_unet is for pictures and has channels for four levels; got {spatial_dims} axes and {channels}."
        raise ModelError(msg)
    return EfficientUNet(in_channels, outputs, channels)


def _shared_classifier(spatial_dims: int, in_channels: int, outputs: int) -> nn.Module:
    from casewise.models.networks.shared_classifier import SharedClassifier

    if spatial_dims != 2:
        raise ModelError(f"A shared_classifier is for pictures, which have two axes; got {spatial_dims}.")
    return SharedClassifier(in_channels, outputs)


def _interactive(
    kind: str, spatial_dims: int, in_channels: int, outputs: int, settings: Mapping[str, object], plain: _Prompted
) -> nn.Module:
    """P-Net and PC-Net take one width for all blocks: the first of ``channels``."""
    if kind == "head":
        from casewise.models.networks.head import Head

        return Head(spatial_dims, in_channels - 1, outputs, hidden=plain.channels[0])
    from casewise.models.networks.prompts import prompts_of

    prompts = len(prompts_of(settings))
    if kind == "prompt_unet":
        from casewise.models.networks.prompt_unet import PromptUNet

        return PromptUNet(spatial_dims, in_channels, outputs, plain.channels, prompts, plain.context, plain.reach)
    if spatial_dims != {"p_net": 2, "pc_net": 3}[kind]:
        msg = f"P-Net is for pictures and PC-Net for volumes; got {kind} for {spatial_dims} axes."
        raise ModelError(msg)
    if kind == "p_net":
        from casewise.models.networks.p_net import PNet

        return PNet(in_channels, outputs, plain.channels[0], prompts)
    from casewise.models.networks.pc_net import PCNet

    return PCNet(in_channels, outputs, plain.channels[0], prompts)


def _lesions(kind: str, spatial_dims: int, in_channels: int, outputs: int, own: _Lesions) -> nn.Module:
    given = tuple(range(in_channels)) if own.told_by is None else own.told_by
    if not given or max(given) >= in_channels:
        msg = f"A lesion network's told_by are numbers of its {in_channels} sequences, from 0; got {given}."
        raise ModelError(msg)
    if spatial_dims != 2:
        raise ModelError(f"A lesion network takes slices, which have two axes; got {spatial_dims}.")
    if kind == "lesion_multitask":
        from casewise.models.networks.lesion_multitask import MultiTask

        return MultiTask(in_channels, outputs, own.channels, own.patch, given, own.mapped)
    if kind == "lesion_fusion":
        from casewise.models.networks.lesion_fusion import Fusion

        return Fusion(in_channels, outputs, own.channels, own.patch, given, own.mapped)
    from casewise.models.networks.lesion_regression import Regression

    return Regression(in_channels, own.channels, own.patch, given, own.mapped)
