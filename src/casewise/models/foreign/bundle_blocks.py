"""The transforms of a bundle's pipelines, one by one, and their arguments as plain values where those are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from casewise.models.foreign.config import Config, NotPlainError

# Arguments that change neither what a transform does to an image's values nor where its voxels lie.
_ASIDE = {
    "keys", "allow_missing_keys", "source_key", "dtype", "lazy", "meta_keys", "meta_key_postfix", "image_only", "ensure_same_shape",
    "device", "data_type", "track_meta", "start_coord_key", "end_coord_key",
}  # fmt: skip
# Numbers as exact as casewise's own or exacter; a pipeline that rounds to whole numbers between its steps is another.
_EXACT = {
    None, "float", "float32", "float64", "$torch.float", "$torch.float32", "$torch.float64", "$np.float32", "$np.float64",
    "$numpy.float32", "$numpy.float64",
}  # fmt: skip


@dataclass(frozen=True)
class Transform:
    """One step of a ``Compose``. name : MONAI's class without the suffix of its dictionary form. written : as the file has it."""

    name: str
    written: Mapping[str, Any]
    config: Config

    def get(self, key: str, default: Any = None) -> Any:
        """An argument as a plain value; of modes for several entries, the first entry's. Raises NotPlainError where it is code."""
        value = self.config.plain(self.written[key]) if key in self.written else default
        several = key in ("mode", "padding_mode") and isinstance(value, list) and len(value) == len(self.keys())
        return value[0] if several else value

    def flag(self, key: str, default: bool = False) -> bool:
        """A true or false; "True" is written for it too. Raises ValueError for anything else."""
        value = self.get(key, default)
        if value in (True, "True", "true"):
            return True
        if value in (False, None):
            return False
        raise ValueError(key)

    def only(self, *known: str) -> None:
        """Raises ValueError where it has other arguments than these that would change what it does."""
        named = {key for key in self.written if not (key.startswith("_") and key.endswith("_"))}
        if strange := sorted(named - _ASIDE - set(known)):
            raise ValueError(strange[0])
        if "dtype" in named and self.config.raw(self.written["dtype"]) not in _EXACT:
            raise ValueError("dtype")

    def keys(self) -> tuple[str, ...]:
        """The entries that it changes."""
        try:
            keys = self.get("keys", ())
        except NotPlainError:
            return ()
        return (keys,) if isinstance(keys, str) else tuple(str(key) for key in keys)

    def __str__(self) -> str:
        arguments = {key: value for key, value in self.written.items() if key not in ("_target_", "keys", "source_key")}
        return f"{self.name}({', '.join(f'{key}={str(value)[:60]}' for key, value in arguments.items())})"


def transforms(config: Config, name: str, doubts: list[str]) -> Iterator[Transform]:
    """The steps of the pipeline ``name``, in order; a sentence for each that cannot be one of MONAI's."""
    block = config.raw(config.document.get(name))
    steps = config.raw(block.get("transforms")) if isinstance(block, Mapping) else block
    if steps is None:
        return
    if not isinstance(steps, list):
        doubts.append(f"{name} is computed by the code {str(steps)[:80]!r}, which casewise never executes")
        return
    for step in steps:
        step = config.raw(step)
        target = step.get("_target_") if isinstance(step, Mapping) else None
        if not isinstance(target, str):
            doubts.append(f"{name} has a step that is code, which casewise never executes")
        elif step.get("_disabled_") in (True, "true", "True"):
            continue
        elif "." in target and target.split(".")[:2] != ["monai", "transforms"]:
            doubts.append(f"{target} is not one of MONAI's transforms")
        else:
            yield Transform(_short(target), step, config)


def _short(target: str) -> str:
    name = target.rpartition(".")[2]
    for suffix in ("Dict", "D", "d"):
        if name.endswith(suffix):
            return name.removesuffix(suffix)
    return name
