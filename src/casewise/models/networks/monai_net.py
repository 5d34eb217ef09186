"""Networks of MONAI by name and plain settings, as bundles describe them."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping

from torch import nn

from casewise.errors import ModelError

# Those that map an image to logits and that build from plain values, without reading a file or asking a server.
MONAI_NETWORKS = (
    "AHNet",
    "AttentionUnet",
    "BasicUNet",
    "BasicUNetPlusPlus",
    "BasicUnet",
    "BasicUnetPlusPlus",
    "DenseNet",
    "DenseNet121",
    "DenseNet169",
    "DenseNet201",
    "DenseNet264",
    "DynUNet",
    "EfficientNetBN",
    "FlexibleUNet",
    "HighResNet",
    "SEResNet50",
    "SEResNet101",
    "SEResNet152",
    "SEResNext50",
    "SegResNet",
    "SegResNetDS",
    "SegResNetVAE",
    "SENet154",
    "SwinUNETR",
    "UNETR",
    "UNet",
    "Unet",
    "VNet",
    "ViT",
    "resnet10",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
)

# Arguments that later versions of MONAI do not take any more, and that never changed a network.
_GONE = {"SwinUNETR": ("img_size",)}


def build_monai(settings: Mapping[str, object]) -> nn.Module:
    """The untrained network ``settings["name"]`` with ``settings["arguments"]``, a JSON object (TOML has no null).

    Raises ModelError for a network that is not among ``MONAI_NETWORKS`` or that does not take these arguments.
    """
    from monai.networks import nets

    name = settings.get("name")
    if name not in MONAI_NETWORKS or not hasattr(nets, str(name)):
        msg = f"The MONAI network {name!r} is not among those that casewise builds: {', '.join(MONAI_NETWORKS)}."
        raise ModelError(msg)
    factory = getattr(nets, str(name))
    try:
        arguments = json.loads(str(settings.get("arguments", "{}")))
        taken = inspect.signature(factory).parameters
        for gone in _GONE.get(str(name), ()):
            if gone not in taken:
                arguments.pop(gone, None)
        if "pretrained" in taken:
            arguments["pretrained"] = False  # its own weights follow; nothing is fetched
        network: nn.Module = factory(**arguments)
        return network
    except Exception as error:  # each network checks its arguments in its own way
        detail = " ".join(str(error).split())[:200]
        msg = f"MONAI's {name} cannot be built from its settings: {detail}; compare network_def with MONAI's documentation."
        raise ModelError(msg) from error
