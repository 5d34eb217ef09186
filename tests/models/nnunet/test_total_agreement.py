"""Masks of TotalSegmentator's tasks are those of TotalSegmentator itself, and its tasks are those of the table."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
import pytest
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from casewise import formats
from casewise.case import Case
from casewise.models import Model
from casewise.models.export import export
from casewise.models.planned import totalsegmentator as tasks
from casewise.models.planned.totalsegmentator import table
from casewise.training.fit import fit
from casewise.training.settings import Settings
from experiments.nnunet import run, total_table
from tests.models.nnunet.total import answered, model, written

AGREE = 0.999


@pytest.fixture(scope="session")
def totalsegmentator() -> None:
    """Skips where TotalSegmentator is not installed beside the environment."""
    if not (run.PEERS / "totalsegmentator").is_dir():
        if os.environ.get("CI"):
            pytest.fail("TotalSegmentator is not installed; run `make peers`")
        pytest.skip("TotalSegmentator is not installed; run `make peers`")


def image(file: Path, shape: tuple[int, ...], axes: npt.NDArray[np.float64]) -> Path:
    """A volume of smooth noise, like a CT. axes : columns of the affine, mm in RAS."""
    smooth = gaussian_filter(np.random.default_rng(len(shape) * shape[0]).normal(size=shape), 2.0)
    affine = np.eye(4)
    affine[:3] = np.column_stack([axes, [12, -30, 7]])
    return run.write(file, (smooth / smooth.std() * 300 - 100).astype(np.int16), affine)


def oblique(file: Path) -> Path:
    """Voxels of 0.8 × 1.7 × 4.2 mm, whose axes run to I, R and A, some degrees off, as in a coronal series."""
    turn = Rotation.from_euler("xyz", [11, -6, 14], degrees=True).as_matrix()
    return image(file, (70, 36, 20), turn @ np.array([[0, 1.7, 0], [0, 0, 4.2], [-0.8, 0, 0]]))


def numbered(prediction: Any, task: str) -> np.ndarray:
    """(*spatial) by the numbers of the whole task, which it keeps for some structures too."""
    own = [0, *(table().tasks[task].structures.index(name) + 1 for name in prediction.labels)]
    return np.asarray(own)[prediction.mask]


def refined(part: Model, file: Path) -> Model:
    """Trained for a few steps to find what is bright in a volume."""
    volume = formats.read(file)
    masks = {name: volume.array[0] * sign > 100 for name, sign in zip(answered(598), (1, -1), strict=True)}
    return fit(part, [Case.of(volume, masks)], settings=Settings(steps=5, batch=2, rate=1e-3, augmentation="none", device="cpu"))


def test_masks_are_those_of_totalsegmentator_itself(totalsegmentator: None, tmp_path: Path) -> None:
    results = tmp_path / "results"
    flipped = image(tmp_path / "flipped.nii.gz", (40, 44, 24), np.diag([-1.5, -1.5, 1.5]))
    turned = oblique(tmp_path / "oblique.nii.gz")
    some = (answered(292)[0], answered(295)[1], table().models["295"].structures[-1])  # the last is answered nowhere
    jobs = [
        ("total", turned, ()),
        ("total", turned, some),
        ("total_fast", flipped, ()),
        ("body", turned, ()),  # pieces are left out
        ("appendicular_bones", flipped, ()),  # some of what the network answers is left out
        ("trunk_cavities", turned, ()),  # here nnU-Net resamples once more
        ("body_mr_fast", flipped, ()),  # a model that was refined and written by casewise
    ]
    for task in ("total", "total_fast", "body", "appendicular_bones"):
        written(results, task)
    model(results, 343, spacing=(2.0, 1.4, 1.6))
    export(refined(Model.load(model(tmp_path / "own", 598)), flipped), "nnunet", results)
    asked = [
        {"image": str(file), "output": str(tmp_path / f"{number}.nii.gz"), "task": task.replace("_fast", "")}
        | {"mode": "fast" if task.endswith("_fast") else "default", "structures": list(structures) or None}
        for number, (task, file, structures) in enumerate(jobs)
    ]
    (tmp_path / "jobs.json").write_text(json.dumps(asked))
    run.nnunet("total", results, tmp_path / "jobs.json")
    for number, (task, file, structures) in enumerate(jobs):
        name = f"{results}#{task}:{','.join(structures)}" if structures else f"{results}#{task}"
        mine = numbered(Model.load(name).predict(formats.read(file), device="cpu"), task)
        theirs = np.asarray(nib.load(tmp_path / f"{number}.nii.gz").dataobj)
        kinds = set(np.unique(theirs)) - {0}
        assert len(kinds) == (10 if (task, structures) == ("total", ()) else 2), (task, structures)
        assert (mine == theirs).mean() >= AGREE, (task, structures)


def test_the_table_is_what_totalsegmentator_says(totalsegmentator: None) -> None:
    environment = os.environ | {"PYTHONPATH": str(run.PEERS)}
    done = subprocess.run([sys.executable, total_table.__file__], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == Path(tasks.__file__).with_name("totalsegmentator.toml").read_text()
