"""Medical Segmentation Decathlon: ``dataset.json`` lists images and labels, and names structures and channels."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from casewise.archive.ingest.layouts.entry import Entry, LabelSource, Orphan
from casewise.archive.ingest.layouts.tree import Folder
from casewise.archive.words import MODALITIES, SEQUENCES, structure_name, words
from casewise.names import numbered

FILE = "dataset.json"


def detect(folder: Folder) -> bool:
    """Whether a ``dataset.json`` here lists images that are there."""
    return FILE in folder.files and any(folder.find(image) for image, _ in _listed(description(folder)))


def entries(folder: Folder) -> Iterator[Entry | Orphan]:
    """An entry for each image listed; its 4D volumes are the channels in turn."""
    about = description(folder)
    structures, channels = structure_values(about), channel_names(about)
    for image, label in _listed(about):
        path = folder.find(image)
        mask = folder.find(label) if label else None
        if path is None:
            if mask is not None:
                yield Orphan(mask, f"{FILE} names it the label of {image}, which is not there.")
            continue
        labels = (LabelSource(mask, values=structures),) if mask else ()
        modality, sequences = modality_and_sequences(channels)
        yield Entry(path, labels, modality=modality, sequences=sequences)


def description(folder: Folder) -> Mapping[str, Any]:
    """The ``dataset.json`` here; empty where it cannot be read as one."""
    try:
        about = json.loads((folder.path / FILE).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        return {}
    return about if isinstance(about, dict) else {}


def structure_values(about: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Structure → values, from either way of writing it: {"1": "liver"} or {"liver": 1 or [1, 2]}; background is left out."""
    structures: dict[str, tuple[int, ...]] = {}
    named = about.get("labels")
    for first, second in named.items() if isinstance(named, Mapping) else ():
        name, values = (second, first) if str(first).isdecimal() else (first, second)
        numbers = tuple(int(value) for value in (values if isinstance(values, list) else [values]) if str(value).isdecimal())
        if numbers and numbers != (0,) and str(name).lower() != "ignore":
            structures[structure_name(str(name))] = numbers
    return structures


def channel_names(about: Mapping[str, Any]) -> list[str]:
    """The channels' names in order, from ``modality`` or ``channel_names``."""
    named = about.get("channel_names", about.get("modality"))
    if not isinstance(named, Mapping):
        return []
    return [str(named[key]) for key in sorted(named, key=lambda key: int(key) if str(key).isdecimal() else 0)]


def modality_and_sequences(channels: list[str]) -> tuple[str | None, tuple[str, ...]]:
    """The modality that the channels have in common, and each one's sequence as the archive names it."""
    first = [words(channel) for channel in channels]
    named = next((MODALITIES[part] for parts in first for part in parts if part in MODALITIES), None)
    sequences = [next((SEQUENCES[part] for part in parts if part in SEQUENCES), None) for parts in first]
    if not any(sequences):
        return named, numbered(channels) if len(channels) > 1 else ()
    return named or "MR", numbered([known or channel for known, channel in zip(sequences, channels, strict=True)])


def _listed(about: Mapping[str, Any]) -> Iterator[tuple[str, str | None]]:
    """Image and label of each case, as relative paths."""
    for part in ("training", "validation", "test"):
        cases = about.get(part)
        for case in cases if isinstance(cases, list) else ():
            if isinstance(case, Mapping) and isinstance(case.get("image"), str):
                label = case.get("label")
                yield case["image"], label if isinstance(label, str) else None
            elif isinstance(case, str):
                yield case, None
