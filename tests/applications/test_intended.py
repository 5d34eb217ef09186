"""A shipped application takes images like those it was trained on, and refuses every other by itself, without a router."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from scipy.ndimage import gaussian_filter

from casewise import formats
from casewise.applications.intended import FILE, NETWORK, Intended
from casewise.applications.shipped import CATALOGUE, ShippedApplication
from casewise.errors import CasewiseError, ModelError
from casewise.image import Image
from casewise.models.shipped import FOLDER, load

NAMES = sorted(CATALOGUE)
OWN = {
    "breast-ultrasound-class": "busi/normal/*.png",
    "heart-chambers": "acdc/*.h5",
    "hippocampus": "hippocampus/images/*.nii.gz",
}
ELSEWHERE = (
    "kinds/knee-mr/*/*.jp*g",
    "kinds/fetal-us/*/*.jp*g",
    "kinds/dermoscopy/*/*.jp*g",
    "kinds/mammography/*/*.jp*g",
    "mednist/AbdomenCT/*.jpeg",
    "mednist/Hand/*.jpeg",
    "mednist/HeadCT/*.jpeg",
    "brain-tumour/*/*.jpg",
)


def image_of(path: Path) -> Image:
    return formats.read(path, "image" if path.suffix == ".h5" else None)


def nothing(dims: int) -> list[Image]:
    """Noise, smooth noise, a ramp and a ball."""
    rng = np.random.default_rng(1)
    shape = (120, 140) if dims == 2 else (60, 70, 20)
    noise = rng.normal(size=shape).astype(np.float32)
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij"))
    arrays = noise, gaussian_filter(noise, 6), grid[0].astype(np.float32), ((grid**2).sum(axis=0) < 0.4) * 500 + noise
    return [Image(array.astype(np.float32)[None]) for array in arrays]


@pytest.mark.parametrize("name", NAMES)
def test_pictures_of_nothing_are_refused_with_what_is_taken(name: str) -> None:
    application = ShippedApplication(name, device="cpu")
    for image in nothing(CATALOGUE[name].dimensions[-1]):
        with pytest.raises(CasewiseError, match=f"{name} is for .*unlike those that it was trained on.*nothing was looked for"):
            application.analyze(image)
    with pytest.raises(CasewiseError, match="one value throughout"):
        application.analyze(replace(image, array=np.full_like(image.array, 7)))


@pytest.mark.parametrize("name", NAMES)
def test_its_own_kind_is_taken_and_other_anatomy_refused(name: str, shared_data: Path) -> None:
    check = Intended.load(FOLDER / CATALOGUE[name].model)
    assert check is not None
    paths = sorted(shared_data.glob(OWN[name]))[::6][:8]
    far = [check.distance(image_of(path)) for path in paths]
    assert sum(distance > check.threshold for distance in far) == 0, far
    elsewhere = [path for pattern in ELSEWHERE for path in sorted(shared_data.glob(pattern))[::9][:4]]
    elsewhere += [path for other, pattern in OWN.items() if other != name for path in sorted(shared_data.glob(pattern))[3:6]]
    taken = [path.name for path in elsewhere if check.distance(image_of(path)) <= check.threshold]
    assert len(elsewhere) >= 30 and len(taken) <= 1, taken


def test_a_slice_of_the_heart_is_taken_in_every_pose(shared_data: Path) -> None:
    check = Intended.load(FOLDER / "heart_chambers")
    volume = image_of(sorted((shared_data / "acdc").glob("*.h5"))[2])
    middle = volume.array[..., volume.array.shape[-1] // 2]
    for turns in range(4):
        for side in (middle, middle[..., ::-1]):
            assert check is not None
            check.check(Image(np.rot90(side, turns, (1, 2)).copy()), "heart-chambers")


def test_a_folder_without_a_bank_checks_nothing_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    assert Intended.load(tmp_path) is None
    made = Intended(np.eye(4, dtype=np.float32), 0.25, "pictures", load(NETWORK).key)
    made.save(tmp_path)
    again = Intended.load(tmp_path)
    assert again is not None and (again.threshold, again.what, again.network) == (0.25, "pictures", made.network)
    assert np.array_equal(again.bank, made.bank)
    with pytest.raises(ModelError, match="made with another network"):
        replace(again, network="0" * 32).distance(nothing(2)[0])
    (tmp_path / FILE).write_bytes(b"no tensors")
    with pytest.raises(ModelError, match=FILE):
        Intended.load(tmp_path)
    save_file({"bank": made.bank}, tmp_path / FILE)
    with pytest.raises(ModelError, match="cannot be read"):
        Intended.load(tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_who_declares_it_so_gets_an_answer_for_any_image(name: str) -> None:
    image = nothing(CATALOGUE[name].dimensions[-1])[3]
    assert isinstance(ShippedApplication(name, device="cpu", intended_only=False).analyze(image), list)
