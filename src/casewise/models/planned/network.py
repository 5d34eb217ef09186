"""The network of an nnU-Net's plans, by dynamic-network-architectures (Isensee et al.); several folds answer their mean."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from casewise.errors import ModelError
from casewise.models.planned.plan import MEND, Plan, configuration_of, plan_of

_PLAIN = "PlainConvUNet"
_CLASSES = (_PLAIN, "ResidualEncoderUNet", "ResidualUNet")
# What settings may name; anything else would be code that a file chooses.
_NAMED = {
    name: getattr(nn, name)
    for name in (
        "Conv2d", "Conv3d", "InstanceNorm2d", "InstanceNorm3d", "BatchNorm2d", "BatchNorm3d", "Dropout2d", "Dropout3d", "Dropout",
        "LeakyReLU", "ReLU", "GELU", "SiLU", "ELU", "PReLU",
    )
}  # fmt: skip
_OPERATORS = ("conv_op", "norm_op", "dropout_op", "nonlin")


class Folds(nn.Module):
    """Logits (N, outputs, *patch): the mean of what the networks of several folds answer."""

    def __init__(self, members: list[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, x: Tensor) -> Tensor:
        total: Tensor = self.members[0](x)
        for member in list(self.members)[1:]:
            total = total + member(x)
        return total / len(self.members)


def build_planned(settings: Mapping[str, Any]) -> Folds:
    """The untrained network of a model of the kind ``nnunet``; each of its parameters has one name."""
    plan = plan_of(settings)
    members = [single(settings, plan) for _ in settings.get("folds", (0,))]
    for member in members:
        _without_aliases(member)
    return Folds(members)


class Parts(nn.Module):
    """Networks that answer about one image, each for itself."""

    def __init__(self, parts: list[Folds]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)


def build_joined(settings: Mapping[str, Any]) -> Parts:
    """The untrained networks of a model of the kind ``joined``."""
    return Parts([build_planned(part) for part in settings["parts"]])


def single(settings: Mapping[str, Any], plan: Plan) -> nn.Module:
    """One fold's network as dynamic-network-architectures names its parameters: some have several names."""
    try:
        from dynamic_network_architectures.architectures import unet
    except ImportError as error:
        raise ModelError("nnU-Net's networks need dynamic-network-architectures; run `pip install 'casewise[nnunet]'`.") from error
    name, arguments = _architecture(configuration_of(json.loads(str(settings["plans"])), plan.configuration))
    if name not in _CLASSES:
        raise ModelError(f"The plans name the network {name!r}; casewise builds {', '.join(_CLASSES)}.")
    try:
        built: nn.Module = getattr(unet, name)(
            input_channels=len(plan.channels), num_classes=plan.outputs, **(_made(arguments) | {"deep_supervision": False})
        )
    except ModelError:
        raise
    except Exception as error:  # it checks its arguments by asserting, and in other ways
        detail = " ".join(str(error).split())[:200]
        raise ModelError(f"The network {name} cannot be built from the plans ({detail}); {MEND}") from error
    return built


def _architecture(own: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """(class, arguments); nnU-Net before 2.3 wrote the numbers alone."""
    try:
        if "architecture" in own:
            described = own["architecture"]
            return str(described["network_class_name"]).rpartition(".")[2], dict(described["arch_kwargs"])
        name, dims = str(own["UNet_class_name"]), len(own["patch_size"])
        stages, most = len(own["n_conv_per_stage_encoder"]), own["unet_max_num_features"]
        return name, {
            "n_stages": stages,
            "features_per_stage": [min(own["UNet_base_num_features"] * 2**stage, most) for stage in range(stages)],
            "conv_op": f"Conv{dims}d",
            "kernel_sizes": own["conv_kernel_sizes"],
            "strides": own["pool_op_kernel_sizes"],
            ("n_conv_per_stage" if name == _PLAIN else "n_blocks_per_stage"): own["n_conv_per_stage_encoder"],
            "n_conv_per_stage_decoder": own["n_conv_per_stage_decoder"],
            "conv_bias": True,
            "norm_op": f"InstanceNorm{dims}d",
            "norm_op_kwargs": {"eps": 1e-5, "affine": True},
            "nonlin": "LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        }
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"The plans do not describe their network ({type(error).__name__}: {error}); {MEND}") from error


def _made(arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments with classes for their names."""
    for key in _OPERATORS:
        named = arguments.get(key)
        if named is None:
            continue
        short = str(named).rpartition(".")[2]
        if short not in _NAMED or (
            str(named).removesuffix(short) not in ("", "torch.nn.") and not str(named).startswith("torch.nn.modules.")
        ):
            raise ModelError(f"The plans name {named!r} for {key}; casewise takes torch's {', '.join(_NAMED)}.")
        arguments[key] = _NAMED[short]
    return arguments


def _without_aliases(network: nn.Module) -> None:
    """Leave each parameter the one name by which it is reached in ``forward``."""
    decoder = network.get_submodule("decoder")
    if "encoder" in dict(decoder.named_children()):
        del decoder.encoder
    for module in network.modules():
        if "all_modules" in dict(module.named_children()):
            for name in ("conv", "norm", "dropout", "nonlin"):
                if name in dict(module.named_children()):
                    delattr(module, name)


def aliases(settings: Mapping[str, Any], weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A fold's weights under all the names by which nnU-Net knows them. weights : by the names of :func:`build_planned`."""
    network = single(settings, plan_of(settings))
    every = network.state_dict()  # of which the aliases share their numbers
    _without_aliases(network)
    try:
        network.load_state_dict(dict(weights))
    except RuntimeError as error:
        raise ModelError(f"The weights do not fit the plans' network: {' '.join(str(error).split())[:200]}") from error
    return {name: value.detach().clone() for name, value in every.items()}
