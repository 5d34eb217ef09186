"""The line of symmetry of what was drawn in any direction, and how far the halves differ about it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from casewise import formats
from casewise.applications.measurements.mirror_symmetry import MirrorSymmetry, mirror_of
from casewise.applications.refusal import NotMeasuredError
from casewise.header import Header
from casewise.image import Image


def head(turn: float = 0.0, lesion: float = 0.0) -> np.ndarray:
    """(200, 200): an egg with a skull and two ventricles, 150 long and about 120 wide; ``lesion`` : added to a disc in one half."""
    row, column = np.meshgrid(np.arange(200.0) - 100, np.arange(200.0) - 100, indexing="ij")
    egg = (row / 75) ** 2 + (column / (60 + 0.1 * row)) ** 2
    plane = np.where(egg < 1, 100.0, 0.0)
    plane[egg < 0.85] = 60
    for side in (-1, 1):
        plane[((row + 10) / 25) ** 2 + ((column - side * 14) / 7) ** 2 < 1] = 25
    plane[(row - 20) ** 2 + (column - 30) ** 2 < 15**2] += lesion
    return ndimage.rotate(plane, turn, reshape=False, order=1)


def measured(plane: np.ndarray, known: bool = False) -> dict[str, float]:
    image = Image(plane[None].astype(np.float32), np.diag([0.5, 0.5, 1, 1.0]) if known else np.eye(4), Header(spacing_known=known))
    return MirrorSymmetry(intended_only=False).analyze(image)[0].measures


@pytest.mark.parametrize("turn", [0.0, 17.0, 70.0, -40.0])
def test_the_line_is_found_in_any_direction(turn: float) -> None:
    plane = head(turn)
    mirror = mirror_of(plane, plane > 10, (1.0, 1.0))
    # rotate() turns the columns' axis towards the rows'; directions count from the rows' axis, modulo 180.
    apart = (mirror.degrees - turn + 90) % 180 - 90
    assert abs(apart) <= 1.5 and mirror.correlation > 0.97
    measures = measured(plane)
    assert measures["asymmetry_percent"] < 2
    assert measures["length_px"] == pytest.approx(150, abs=4) and measures["width_px"] == pytest.approx(121, abs=6)


def test_the_asymmetry_grows_with_what_lies_in_one_half() -> None:
    values = [measured(head(10, lesion))["asymmetry_percent"] for lesion in (0, 20, 60)]
    assert values[0] + 0.8 < values[1] and values[1] + 1.5 < values[2]


def test_lengths_are_in_mm_where_the_file_knows_them() -> None:
    assert measured(head(), known=True)["length_mm"] == pytest.approx(75, abs=2)


def test_what_has_no_mirror_line_or_fills_the_picture_is_refused() -> None:
    row, column = np.meshgrid(np.arange(200.0) - 100, np.arange(200.0) - 100, indexing="ij")
    # A comma: a half disc with a dark hole off its middle.
    comma = np.where((row**2 + column**2 < 80**2) & (row > 0.8 * column), 100.0, 0.0)
    comma[(row - 50) ** 2 + (column + 30) ** 2 < 22**2] = 8
    comma[(row < 0) & (column < -40)] = 0
    with pytest.raises(NotMeasuredError, match="no mirror line"):
        measured(comma + np.where(comma > 0, 40 * np.sin(row / 9 + column / 17), 0))
    with pytest.raises(NotMeasuredError, match="dark ground"):
        measured(np.random.default_rng(0).normal(100, 5, (200, 200)))


@pytest.mark.shared
def test_real_brains_have_a_mirror_line_and_their_size(shared_data: Path) -> None:
    for name in ("brain1_image.nrrd", "brain2_image.nrrd"):
        (finding,) = MirrorSymmetry(intended_only=False).analyze(formats.read(shared_data / "pyradiomics-mr" / name))
        assert finding.measures["mirror_correlation"] > 0.8
        assert 170 < finding.measures["length_mm"] < 210 and 140 < finding.measures["width_mm"] < 180


def test_a_volume_that_does_not_say_which_plane_is_axial_is_refused() -> None:
    volume = np.repeat(head()[..., None], 8, axis=2).astype(np.float32)
    with pytest.raises(NotMeasuredError, match="which plane of the volume is axial"):
        MirrorSymmetry(intended_only=False).analyze(Image(volume[None], header=Header(spacing_known=False)))
