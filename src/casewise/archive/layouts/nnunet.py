"""nnU-Net's raw data: ``imagesTr/case_0000.nii.gz`` (one file a channel), ``labelsTr/case.nii.gz``, names in ``dataset.json``."""

from __future__ import annotations

import re
from collections.abc import Iterator

from casewise.archive.layouts.decathlon import FILE, channel_names, description, modality_and_sequences, structure_values
from casewise.archive.layouts.entry import Entry, LabelSource, Orphan
from casewise.archive.layouts.tree import Folder, stem

_CHANNEL = re.compile(r"(?P<case>.+)_(?P<channel>\d{4})")
_PARTS = (("imagesTr", "labelsTr"), ("imagesVal", "labelsVal"), ("imagesTs", "labelsTs"))


def detect(folder: Folder) -> bool:
    """Whether there are images of nnU-Net's names beside a ``dataset.json``."""
    images = folder.folders.get("imagesTr")
    return FILE in folder.files and images is not None and any(_CHANNEL.fullmatch(stem(name)) for name in images.images)


def entries(folder: Folder) -> Iterator[Entry | Orphan]:
    """An entry for each channel's image, with its case's label; an orphan for a label whose case has no image."""
    about = description(folder)
    structures = structure_values(about)
    modality, sequences = modality_and_sequences(channel_names(about))
    for images, labels in _PARTS:
        masks = folder.folders.get(labels, Folder(folder.path / labels))
        by_case = {stem(name): masks.path / name for name in masks.images}
        cases = set()
        for name in folder.folders.get(images, Folder(folder.path / images)).images:
            match = _CHANNEL.fullmatch(stem(name))
            if match is None:
                continue
            case, channel = match["case"], int(match["channel"])
            cases.add(case)
            label = (LabelSource(by_case[case], values=structures),) if case in by_case else ()
            sequence = sequences[channel : channel + 1]
            yield Entry(folder.path / images / name, label, subject=case, modality=modality, sequences=sequence)
        for case in by_case.keys() - cases:
            yield Orphan(by_case[case], f"It lies in {labels}, but {images} holds no image of its case.")
