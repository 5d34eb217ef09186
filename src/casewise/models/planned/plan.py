"""What ``plans.json`` and ``dataset.json`` say of one configuration of an nnU-Net: what is done to an image, and its labels."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from math import prod
from typing import Annotated, Any, Literal

import msgspec

from casewise.errors import ModelError
from casewise.models.documents import read
from casewise.models.planned.canonical import Canonical, canonical_of
from casewise.names import numbered

MEND = "take plans.json and dataset.json, unchanged, from the folder that nnU-Net wrote."
# Readers of images, and whether they turn a volume to RAS first.
READERS = {
    "SimpleITKIO": False,
    "NibabelIO": False,
    "Tiff3DIO": False,
    "NaturalImage2DIO": False,
    "SimpleITKIOWithReorient": True,
    "NibabelIOWithReorient": True,
}
_Scheme = Literal["CTNormalization", "ZScoreNormalization", "NoNormalization", "RescaleTo01Normalization", "RGBTo01Normalization"]
_Splines = Literal["resample_data_or_seg_to_shape"]
_Count = Annotated[int, msgspec.Meta(gt=0)]
_Order = Annotated[int, msgspec.Meta(ge=0, le=5)]
_Axis = Annotated[int, msgspec.Meta(ge=0, le=2)]
_Length = Annotated[float, msgspec.Meta(gt=0)]


class Intensity(msgspec.Struct, frozen=True):
    """Of the structures' voxels in the images that the plan was made from."""

    mean: float = 0.0
    std: float = 1.0
    percentile_00_5: float = 0.0
    percentile_99_5: float = 0.0


class Resampling(msgspec.Struct, frozen=True):
    """order, order_z : of the splines, and along an axis that is resampled apart. force_separate_z : None: where its voxels are
    more than ``separate_z_anisotropy_threshold`` times as long as the shortest.
    """

    order: _Order = 3
    order_z: _Order = 0
    force_separate_z: bool | None = None
    separate_z_anisotropy_threshold: float = 3.0


class _Configuration(msgspec.Struct, frozen=True):
    patch_size: tuple[_Count, ...]
    spacing: tuple[_Length, ...]
    normalization_schemes: tuple[_Scheme, ...]
    use_mask_for_norm: tuple[bool, ...]
    preprocessor_name: Literal["DefaultPreprocessor"] = "DefaultPreprocessor"
    resampling_fn_data: _Splines = "resample_data_or_seg_to_shape"
    resampling_fn_data_kwargs: Resampling = Resampling()
    resampling_fn_probabilities: _Splines = "resample_data_or_seg_to_shape"
    resampling_fn_probabilities_kwargs: Resampling = Resampling(order=1)
    previous_stage: str | None = None
    batch_size: _Count = 2
    batch_dice: bool = False


class _Plans(msgspec.Struct, frozen=True):
    image_reader_writer: str
    transpose_forward: tuple[_Axis, _Axis, _Axis]
    foreground_intensity_properties_per_channel: dict[str, Intensity] = {}
    foreground_intensity_properties_by_modality: dict[str, Intensity] = {}
    label_manager: Literal["LabelManager"] = "LabelManager"


class _Dataset(msgspec.Struct, frozen=True):
    labels: dict[str, int | tuple[int, ...]]
    channel_names: dict[str, str] = {}
    modality: dict[str, str] = {}
    regions_class_order: tuple[int, ...] = ()


@dataclass(frozen=True)
class Plan:
    """One configuration.

    patch, spacing : voxels, and mm, of what the network takes, 2 or 3 axes in the network's order. stride : voxels of the patch
    that one of the network's deepest level stands for. transpose : which of a volume's axes (k, j, i), i counting fastest in its
    file, the network's three are. turned : whether a volume is turned to RAS first.
    spaced : False where pictures count as of 1 mm a pixel. channels : names of the sequences. schemes, masked, intensities : of
    each channel: how it is normalised, whether where the image is not 0 alone, and with which figures. data, answer : how an image
    and a network's answer are resampled. mirrored : axes of the patch along which the network learnt on mirrored images.
    batch, pooled : patches of a training's step, and whether its Dice is of all of them together.
    structures : their names. regions : of outputs that are structures which overlap, the numbers (from 1) of those that make up
    each, where a voxel counts as the last output that is more probable than not; else empty.
    canonical : what TotalSegmentator does to a volume first; its networks never look at mirrored images.
    """

    configuration: str
    patch: tuple[int, ...]
    spacing: tuple[float, ...]
    stride: tuple[int, ...]
    transpose: tuple[int, int, int]
    turned: bool
    spaced: bool
    channels: tuple[str, ...]
    schemes: tuple[str, ...]
    masked: tuple[bool, ...]
    intensities: tuple[Intensity, ...]
    data: Resampling
    answer: Resampling
    mirrored: tuple[int, ...]
    batch: int
    pooled: bool
    structures: tuple[str, ...]
    regions: tuple[tuple[int, ...], ...]
    canonical: Canonical | None = None

    @property
    def axes(self) -> int:
        return len(self.patch)

    @property
    def outputs(self) -> int:
        """Channels of the network's answer."""
        return len(self.structures) if self.regions else len(self.structures) + 1


def plan_of(network: Mapping[str, Any]) -> Plan:
    """Of a model's network of the kind ``nnunet``: its ``plans`` and ``dataset`` (JSON), ``configuration`` and ``mirroring``.

    A network of TotalSegmentator has its ``canonical`` too. Raises ModelError, one sentence, for what casewise does not do as
    nnU-Net does.
    """
    mirroring = tuple(int(axis) for axis in network.get("mirroring", ()))
    found = _plan(str(network.get("plans")), str(network.get("dataset")), str(network.get("configuration")), mirroring)
    canonical = canonical_of(network)
    if canonical is None:
        return found
    if found.axes != 3:
        raise ModelError(f"TotalSegmentator's networks take volumes, and {found.configuration} takes slices; {MEND}")
    return replace(found, canonical=canonical, mirrored=())


def configuration_of(plans: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A configuration of ``plans.json`` with what it inherits from others."""
    every = plans.get("configurations")
    found: dict[str, Any] = {}
    following: Any = name
    for _ in range(len(every) if isinstance(every, Mapping) else 0):
        one = every.get(following) if isinstance(every, Mapping) else None
        if not isinstance(one, Mapping):
            break
        found = {**one, **found}
        if "inherits_from" not in one:
            found.pop("inherits_from", None)
            return found
        following = one["inherits_from"]
    known = ", ".join(map(str, every)) if isinstance(every, Mapping) else "none"
    raise ModelError(f"The plans have no whole configuration {name!r}; they have: {known}; {MEND}")


@lru_cache(maxsize=32)
def _plan(plans_text: str, dataset_text: str, name: str, mirroring: tuple[int, ...]) -> Plan:
    try:
        plans, dataset = json.loads(plans_text), json.loads(dataset_text)
    except ValueError as error:
        raise ModelError(f"The plans of this nnU-Net cannot be read ({error}); {MEND}") from error
    read_plans, labels = read(plans, _Plans, "plans.json", MEND), read(dataset, _Dataset, "dataset.json", MEND)
    document = configuration_of(plans, name)
    own = read(document, _Configuration, f"The configuration {name} in plans.json", MEND)
    _ensure_known(own, read_plans, name)
    names = labels.channel_names or labels.modality
    channels = numbered([names[key] for key in sorted(names, key=_number)])
    figures = read_plans.foreground_intensity_properties_per_channel or read_plans.foreground_intensity_properties_by_modality
    if not channels or not len(channels) == len(own.normalization_schemes) == len(own.use_mask_for_norm):
        raise ModelError(
            f"The plans normalise {len(own.normalization_schemes)} channels and dataset.json names {len(channels)}; {MEND}"
        )
    if any(f"{k}" not in figures and scheme == "CTNormalization" for k, scheme in enumerate(own.normalization_schemes)):
        raise ModelError(f"The plans lack a CT channel's foreground_intensity_properties; {MEND}")
    if any(axis >= len(own.patch_size) for axis in mirroring):
        raise ModelError(f"The checkpoint mirrors along the axes {mirroring}, and {name} has {len(own.patch_size)}; {MEND}")
    structures, regions = _structures(labels)
    return Plan(
        configuration=name,
        patch=own.patch_size,
        spacing=own.spacing,
        stride=_stride(document, name),
        transpose=read_plans.transpose_forward,
        turned=READERS[read_plans.image_reader_writer],
        spaced=read_plans.image_reader_writer != "NaturalImage2DIO",
        channels=channels,
        schemes=own.normalization_schemes,
        masked=own.use_mask_for_norm,
        intensities=tuple(figures.get(f"{k}", Intensity()) for k in range(len(channels))),
        data=own.resampling_fn_data_kwargs,
        answer=own.resampling_fn_probabilities_kwargs,
        mirrored=mirroring,
        batch=own.batch_size,
        pooled=own.batch_dice,
        structures=structures,
        regions=regions,
    )


def _ensure_known(own: _Configuration, plans: _Plans, name: str) -> None:
    if own.previous_stage is not None:
        raise ModelError(
            f"{name} is the second stage of a cascade, which takes the answer of {own.previous_stage}; "
            "casewise reads 2d, 3d_fullres and 3d_lowres."
        )
    if plans.image_reader_writer not in READERS:
        raise ModelError(f"The plans read images by {plans.image_reader_writer}; casewise reads as {', '.join(READERS)} do.")
    if sorted(plans.transpose_forward) != [0, 1, 2]:
        raise ModelError(f"transpose_forward in plans.json names each of the axes 0, 1 and 2 once; {MEND}")
    if len(own.patch_size) != len(own.spacing) or len(own.patch_size) not in (2, 3):
        raise ModelError(f"The configuration {name} has a patch of {own.patch_size} and a spacing of {own.spacing}; {MEND}")


def _stride(own: Mapping[str, Any], name: str) -> tuple[int, ...]:
    """The product of the strides of all levels, an axis each."""
    try:
        strides = own["architecture"]["arch_kwargs"]["strides"] if "architecture" in own else own["pool_op_kernel_sizes"]
        axes = [[one] * len(own["patch_size"]) if isinstance(one, int) else one for one in strides]
        return tuple(prod(axis) for axis in zip(*axes, strict=True))
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"The configuration {name} in plans.json does not say its network's strides; {MEND}") from error


def _number(key: str) -> int:
    return int(key) if key.isdecimal() and len(key) < 10 else 0


def _structures(dataset: _Dataset) -> tuple[tuple[str, ...], tuple[tuple[int, ...], ...]]:
    """Names of the structures, in the order of the outputs, and regions."""
    given = {name: label for name, label in dataset.labels.items() if name != "ignore"}
    sets = {name: {label} if isinstance(label, int) else set(label) for name, label in given.items()}
    if sets.pop("background", None) != {0}:
        raise ModelError(f"dataset.json does not say that background is 0; {MEND}")
    sets = {name.replace("=", "_").replace("+", "_").strip(): labels for name, labels in sets.items() if labels != {0}}
    if any(len(labels) > 1 for labels in sets.values()):
        order = dataset.regions_class_order
        if len(order) != len(sets):
            raise ModelError(f"dataset.json has {len(sets)} regions and a regions_class_order of {len(order)}; {MEND}")
        return tuple(sets), tuple(tuple(k for k, own in enumerate(order, 1) if own in labels) for labels in sets.values())
    ordered = sorted(sets, key=lambda name: min(sets[name]))
    if not ordered or [min(sets[name]) for name in ordered] != list(range(1, len(ordered) + 1)):
        raise ModelError(f"The labels in dataset.json are not 1, 2, 3 and so on, each once; {MEND}")
    return tuple(ordered), ()
