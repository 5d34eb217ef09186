"""Small models that nnU-Net itself trains once a session, and what its own predictor says with them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from filelock import FileLock

from casewise import formats
from casewise.image import Image
from experiments.nnunet.run import DATASET, PEERS, describe, nnunet, write


@dataclass(frozen=True)
class Task:
    """folder : a trained configuration. work : what it was trained on, and what nnU-Net says of the tests. tests : images that were
    not trained on, by name the files of their channels.
    """

    folder: Path
    work: Path
    tests: dict[str, list[Path]]

    def image(self, name: str) -> Image:
        images = [formats.read(file) for file in self.tests[name]]
        return images[0].with_array(np.concatenate([image.array for image in images]))

    @property
    def images(self) -> Path:
        return next(iter(self.tests.values()))[0].parent


def predicted(folder: Path, images: Path, output: Path, *, mirror: bool) -> dict[str, Any]:
    """(*spatial) label numbers by image, as nnU-Net's own predictor writes them."""
    nnunet("predict", folder, images, output, *(["--mirror"] if mirror else []))
    return masks_in(output)


def masks_in(output: Path) -> dict[str, Any]:
    return {file.name.removesuffix(".nii.gz"): np.asarray(nib.load(file).dataobj) for file in output.glob("*.nii.gz")}


@pytest.fixture(scope="session")
def peers() -> None:
    """Skips where nnU-Net is not installed beside the environment."""
    if not PEERS.is_dir():
        if os.environ.get("CI"):
            pytest.fail("nnU-Net is not installed; run `make peers`")
        pytest.skip("nnU-Net is not installed; run `make peers`")


@pytest.fixture(scope="session")
def trained(peers: None, shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Task]:
    """By name (``hippocampus``, ``regions``, ``brain``) a model; each is trained once, by one worker."""
    base = tmp_path_factory.getbasetemp()
    root = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "nnunet"
    root.mkdir(exist_ok=True)

    def made(name: str) -> Task:
        work, (make, configuration, steps, *more) = root / name, TASKS[name]
        with FileLock(root / f"{name}.lock"):
            if not (work / "tests.json").is_file():
                tests = make(work, shared_data)
                nnunet("train", work, DATASET, configuration, steps, *more)
                (work / "tests.json").write_text(json.dumps({key: [str(file) for file in files] for key, files in tests.items()}))
        tests = {key: [Path(file) for file in files] for key, files in json.loads((work / "tests.json").read_text()).items()}
        (folder,) = (work / "results" / DATASET).glob(f"*__{configuration}")
        return Task(folder, work, tests)

    return made


def _hippocampus(work: Path, shared: Path, regions: bool = False) -> dict[str, list[Path]]:
    """Six volumes of 1 mm to train on; the voxels of the one to test on are of other lengths, so that it is resampled."""
    raw, tests = work / "raw" / DATASET, {}
    for number, file in enumerate(sorted((shared / "hippocampus/images").glob("*.nii.gz"))[:7]):
        image, labels = nib.load(file), nib.load(shared / "hippocampus/labels" / file.name)
        array = np.asarray(image.dataobj).astype(np.float32)
        if number < 6:
            write(raw / "imagesTr" / f"h{number}_0000.nii.gz", array, image.affine)
            write(raw / "labelsTr" / f"h{number}.nii.gz", np.asarray(labels.dataobj).astype(np.uint8), image.affine)
        else:
            stretched = image.affine @ np.diag([1.2, 0.85, 1.1, 1])
            tests[f"h{number}"] = [write(work / "test" / f"h{number}_0000.nii.gz", array, stretched)]
    labels = (
        {"background": 0, "hippocampus": [1, 2], "posterior": [2]} if regions else {"background": 0, "anterior": 1, "posterior": 2}
    )
    describe(work, ["MRI"], labels, 6, **({"regions_class_order": [1, 2]} if regions else {}))
    return tests


def _regions(work: Path, shared: Path) -> dict[str, list[Path]]:
    return _hippocampus(work, shared, regions=True)


def _brain(work: Path, shared: Path) -> dict[str, list[Path]]:
    """Two channels, thick slices, black around the head; the last of three patients to test on, of other voxels' lengths."""
    raw, tests, cut = work / "raw" / DATASET, {}, (slice(30, 210, 3), slice(20, 220, 3), slice(10, 140, 11))
    for number, folder in enumerate(sorted((shared / "brats-cbica").glob("Brats*"))):
        affine = nib.load(folder / "FLAIR.nii.gz").affine @ np.diag([3, 3, 11, 1])
        arrays = [np.asarray(nib.load(folder / f"{kind}.nii.gz").dataobj).astype(np.float32)[cut] for kind in ("FLAIR", "T1")]
        place = raw / "imagesTr" if number < 2 else work / "test"
        affine = affine if number < 2 else affine @ np.diag([1.1, 0.9, 0.8, 1])
        files = [write(place / f"b{number}_000{channel}.nii.gz", array, affine) for channel, array in enumerate(arrays)]
        if number == 2:
            tests["b2"] = files
            continue
        tumour = np.asarray(nib.load(folder / "GT_W.nii.gz").dataobj)[cut] > 0
        write(raw / "labelsTr" / f"b{number}.nii.gz", tumour.astype(np.uint8), affine)
    describe(work, ["FLAIR", "T1"], {"background": 0, "tumour": 1}, 2)
    return tests


TASKS: dict[str, tuple[Any, ...]] = {
    "hippocampus": (_hippocampus, "2d", 50, "--residual"),
    "regions": (_regions, "3d_fullres", 40),
    "brain": (_brain, "3d_fullres", 15),
}
