"""nnU-Net's raw data: ``imagesTr/case_0000.nii.gz`` (one file a channel), ``labelsTr/case.nii.gz``, names in ``dataset.json``."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from casewise.archive.ingest.layouts.decathlon import channel_names, description, modality_and_sequences, structure_values
from casewise.archive.ingest.layouts.entry import Entry, LabelSource, Orphan
from casewise.archive.ingest.layouts.tree import Folder, stem
from casewise.names import legible, nfc

_CHANNEL = re.compile(r"(?P<case>.+)_(?P<channel>[0-9]{4})", re.DOTALL)
_PARTS = (("imagesTr", "labelsTr"), ("imagesVal", "labelsVal"), ("imagesTs", "labelsTs"))


def detect(folder: Folder) -> bool:
    """Whether there are images of nnU-Net's names in its folders."""
    images = folder.folders.get("imagesTr")
    return images is not None and any(_CHANNEL.fullmatch(stem(name)) for name in images.images)


def entries(folder: Folder) -> Iterator[Entry | Orphan]:
    """An entry for each channel's image, with its case's label; an orphan for a label whose case has no image."""
    about = description(folder)
    structures = structure_values(about)
    modality, sequences = modality_and_sequences(channel_names(about))
    for images, labels in _PARTS:
        masks = folder.folders.get(labels, Folder(folder.path / labels))
        by_case: dict[str, list[Path]] = defaultdict(list)
        for name in masks.images:
            by_case[nfc(stem(name))].append(masks.path / name)
        cases = set()
        for name in folder.folders.get(images, Folder(folder.path / images)).images:
            match = _CHANNEL.fullmatch(nfc(stem(name)))
            if match is None:
                continue
            case, channel = match["case"], int(match["channel"])
            cases.add(case)
            label = (LabelSource(by_case[case][0], values=structures),) if len(by_case.get(case, ())) == 1 else ()
            sequence = sequences[channel : channel + 1]
            yield Entry(folder.path / images / name, label, subject=legible(case), modality=modality, sequences=sequence)
        for case, paths in by_case.items():
            for path in paths:
                if case not in cases:
                    yield Orphan(path, f"It lies in {labels}, but {images} holds no image of its case.")
                elif len(paths) > 1:
                    yield Orphan(path, f"{labels} holds {len(paths)} files for its case; keep the one that is meant.")
