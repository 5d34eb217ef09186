"""The interactive model that comes with casewise, on real images it was never trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from casewise import Image, InteractiveSegmentation, formats
from casewise.image import Box
from casewise.interaction.simulation.user import Hand, stroke
from casewise.models import shipped
from casewise.training.metrics import dice

MOST_BYTES = 10 * 2**20


@pytest.mark.parametrize("name", ["interactive_2d", "interactive_3d"])
def test_it_is_small_and_says_where_it_fails(name):
    folder = shipped.FOLDER / name
    assert (folder / "weights.safetensors").stat().st_size < MOST_BYTES
    card = (folder / "card.md").read_text(encoding="utf-8")
    for heading in ("Data, split, command", "Measured", "Where it fails", "Limits"):
        assert heading in card


@pytest.mark.shared
def test_strokes_lead_to_the_ventricles_of_a_heart_it_never_saw(shared_data: Path):
    path = sorted((shared_data / "acdc").glob("*.h5"))[0]
    volume = formats.read(path)
    place = volume.spatial_shape[2] // 2
    image = Image(volume.array[..., place])
    for value, least in ((1, 0.85), (3, 0.92)):
        truth = formats.read_mask(path, volume, member="label", value=value)[..., place]
        tight = Box.around(truth)
        assert tight is not None
        box = [(low - 4, high + 5) for low, high in zip(tight.lower, tight.upper, strict=True)]
        session = InteractiveSegmentation(None, image, box, device="cpu")
        for _ in range(4):
            made = stroke(truth, session.mask, Hand(25, 1))
            assert made is not None
            line, foreground = made
            session.add_scribbles(line if foreground else None, None if foreground else line)
        assert dice(session.mask, truth) > least


def test_volumes_are_for_the_network_that_takes_volumes():
    image = Image(np.random.default_rng(0).random((1, 24, 24, 12), dtype=np.float32))
    session = InteractiveSegmentation(None, image, [(4, 20), (4, 20), (2, 10)], device="cpu")
    assert session.model.spec.preparation.spatial_dims == 3
    assert InteractiveSegmentation(None, Image(image.array[..., 0]), [(4, 20), (4, 20)]).model.spec.preparation.spatial_dims == 2


@pytest.mark.shared
def test_a_hippocampus_takes_shape_in_three_dimensions(shared_data: Path):
    path = sorted((shared_data / "hippocampus" / "images").glob("*.nii.gz"))[0]
    image = formats.read(path)
    truth = formats.read_mask(shared_data / "hippocampus" / "labels" / path.name, image)
    box = Box.around(truth)
    session = InteractiveSegmentation(None, image, box, device="cpu")
    first = dice(session.mask, truth)
    for _ in range(4):
        made = stroke(truth, session.mask, Hand(25, 1), image.spacing)
        assert made is not None
        session.add_scribbles(made[0] if made[1] else None, None if made[1] else made[0])
    assert dice(session.mask, truth) > max(first, 0.6)
