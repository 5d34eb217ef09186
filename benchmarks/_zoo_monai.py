"""Bundles of MONAI's zoo with random weights, and MONAI's own pipeline of each, built by MONAI from the same configuration."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from monai.bundle import ConfigParser
from torch import nn

from casewise.models.foreign.bundle import defined_network
from casewise.models.foreign.bundle_ends import weights_name
from casewise.models.foreign.config import Config
from casewise.models.networks.monai_net import build_monai

ZOO = Path(__file__).parents[1] / "tests" / "data" / "zoo"
_CONFIGS = ("inference.json", "inference.yaml")


def with_weights(
    source: Path,
    folder: Path,
    config: str = "",
    change: Callable[[dict[str, Any]], object] = lambda document: None,
    balanced: bool = True,
) -> Path:
    """The bundle ``source`` in ``folder`` with random weights.

    config : the file of its configurations that is the bundle's; its only one without. change : what is changed in it.
    balanced : no output is ahead of the others everywhere. Raises ModelError where casewise does not build the network.
    """
    shutil.copytree(source / "configs", folder / "configs")
    kept = folder / "configs" / (config or next(name for name in _CONFIGS if (source / "configs" / name).is_file()))
    document = dict(ConfigParser.load_config_file(str(kept)))
    change(document)
    for name in _CONFIGS:
        (folder / "configs" / name).unlink(missing_ok=True)
    (folder / "configs" / "inference.json").write_text(json.dumps(document))
    (folder / "models").mkdir()
    written = Config.read(folder)
    name, arguments = defined_network(written)
    torch.manual_seed(0)
    network = build_monai({"name": name, "arguments": json.dumps(arguments)})
    if balanced:
        _balance(network, arguments)
    torch.save(network.state_dict(), folder / "models" / (weights_name(written) or "model.pt"))
    return folder


def _balance(network: nn.Module, arguments: Mapping[str, Any]) -> None:
    """Changes the last layer: a mask of one structure would agree with any other of it, and logits that are nearly the same, with
    their rounding.
    """
    dims, outputs = arguments.get("spatial_dims", 3), arguments["out_channels"]
    names = [name for name, value in network.named_parameters() if name.endswith("bias") and value.numel() == outputs]
    last: Any = network.get_submodule(names[-1].removesuffix(".bias"))
    x = torch.rand(1, arguments["in_channels"], *[64] * dims)
    with torch.inference_mode():
        spread = network.eval()(x)[0].flatten(1).std(dim=1).mean()
    last.weight.data /= spread
    for _ in range(2):
        with torch.inference_mode():
            answer = network(x)[0].flatten(1)
        last.bias.data -= answer.median(dim=1).values if outputs > 1 else answer.median()


def monai_mask(bundle: Path, path: Path | Sequence[Path], as_numbers: bool = True) -> npt.NDArray[np.uint8]:
    """The mask that MONAI makes of the image at ``path`` (several: its channels) by the configuration's transforms and inferer.

    What the zoo's authors evaluate is evaluated here. Only reading by ITK (an optional package) and writing are left out; and
    without ``as_numbers`` what makes one map of several outputs' masks.
    """
    document = json.loads((bundle / "configs" / "inference.json").read_text())
    files = str(path) if isinstance(path, Path) else [str(one) for one in path]
    written = Config.read(bundle)
    name, arguments = defined_network(written)
    network: nn.Module = build_monai({"name": name, "arguments": json.dumps(arguments)}).eval()
    weights = bundle / "models" / (weights_name(written) or "model.pt")
    network.load_state_dict(torch.load(weights, weights_only=True))
    left_out = {"SaveImaged"} if as_numbers else {"SaveImaged", "Lambdad"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parser = ConfigParser(document)
        for step in parser["preprocessing"]["transforms"]:
            step.pop("reader", None)
            if step["_target_"] == "AsChannelFirstd":  # MONAI has it under another name by now
                step |= {"_target_": "EnsureChannelFirstd", "channel_dim": -1}
        parser["postprocessing"]["transforms"] = [
            step for step in parser["postprocessing"]["transforms"] if step["_target_"] not in left_out
        ]
        parser["device"] = "cpu"
        if "device" in parser["inferer"]:
            parser["inferer"]["device"] = "cpu"
        data = parser.get_parsed_content("preprocessing")({"image": files})
        with torch.inference_mode():
            data["pred"] = parser.get_parsed_content("inferer")(data["image"][None], network)[0]
        answer: Mapping[str, Any] = parser.get_parsed_content("postprocessing")(data)
    mask = np.asarray(answer["pred"])
    return (mask[0] if mask.shape[0] == 1 else mask).round().astype(np.uint8)
