"""Models written as MONAI bundles: MONAI runs them unchanged, its masks are ours, and casewise reads the same model again."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from benchmarks._zoo_monai import ZOO, with_weights
from casewise.case import Case
from casewise.errors import ModelError
from casewise.formats import read
from casewise.models import Model
from casewise.models.export import export
from casewise.models.foreign.bundle_steps import steps_in
from casewise.models.foreign.bundle_steps_export import _transform
from casewise.models.foreign.config import Config
from casewise.models.steps import Centre, Extremes, Foreground, Normal, Pad, Range, Resize, Spacing, Step
from casewise.training.fit import fit
from casewise.training.settings import Settings


def volume(file: Path, seed: int, axes: str = "PLI") -> Path:
    """A smooth volume of about 3 mm, stored along ``axes``, with values as CT's."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(seed)
    array = gaussian_filter(rng.normal(0, 1, (40, 36, 24)), 2)
    array = (array / array.std() * 150 + 50).astype(np.float32)
    made = nibabel.Nifti1Image(array, np.diag([3.1, 2.9, 3.3, 1.0]))
    made = made.as_reoriented(nibabel.orientations.axcodes2ornt(tuple(axes)))
    nibabel.save(nibabel.Nifti1Image(np.asarray(made.dataobj, np.float32), made.affine), file)
    return file


def small(document: dict[str, Any]) -> None:
    document["network_def"] |= {"channels": [4, 8, 8], "strides": [2, 2], "num_res_units": 1}
    document["inferer"] |= {"roi_size": [32, 32, 32]}


def overlapping(document: dict[str, Any]) -> None:
    document["network_def"] |= {"init_filters": 8, "blocks_down": [1, 1], "blocks_up": [1]}
    document["inferer"]["roi_size"] = [32, 32, 24]


def cut(document: dict[str, Any]) -> None:
    document["network_def"].update(filters=[4, 8, 8, 8, 8, 8])
    document["inferer"]["roi_size"] = [64, 64, 32]


def nearest(document: dict[str, Any]) -> None:
    small(document)
    activation, back, discrete, *rest = document["postprocessing"]["transforms"]
    document["postprocessing"]["transforms"] = [activation, discrete, back | {"nearest_interp": True}, *rest]


BUNDLES: dict[str, tuple[str, Callable[[dict[str, Any]], None], str, int]] = {  # by what: bundle, change, toml, channels
    "softmax": ("spleen_ct_segmentation", small, "", 1),
    "overlapping": ("brats_mri_segmentation", overlapping, '[input]\naxes = "RAS"\n', 4),
    "nearest": ("spleen_ct_segmentation", nearest, "", 1),
    "slices": ("ventricular_short_axis_3label", lambda document: None, '[input]\naxes = "RAS"\n', 1),
    "cut": ("pediatric_abdominal_ct_segmentation", cut, "", 1),
}


def bundled(root: Path, name: str) -> Path:
    bundle, change, description, _ = BUNDLES[name]
    folder = with_weights(ZOO / bundle, root / bundle, change=change)
    if description:
        (folder / "casewise.toml").write_text(description)
    return folder


def monai_masks(bundle: Path, files: list[Path], root: Path) -> np.ndarray:
    """(*spatial[, structures]): what ``monai.bundle`` writes of one image when it runs the bundle."""
    pytest.importorskip("ignite")
    from monai.bundle import ConfigWorkflow

    (root / "images").mkdir(parents=True)
    for number, file in enumerate(files):
        shutil.copy(file, root / "images" / f"x_{number}.nii.gz")
    flow = ConfigWorkflow(
        config_file=str(bundle / "configs" / "inference.json"),
        meta_file=str(bundle / "configs" / "metadata.json"),
        logging_file=False,
        workflow_type="infer",
        bundle_root=str(bundle),
        dataset_dir=str(root / "images"),
        output_dir=str(root / "out"),
        device="$torch.device('cpu')",
    )
    flow.initialize()
    flow.run()
    flow.finalize()
    (written,) = (root / "out").rglob("*.nii.gz")
    return np.asarray(nibabel.load(written).dataobj)


@pytest.mark.parametrize("name", BUNDLES)
def test_monai_runs_a_refined_model_and_casewise_reads_it_again(name: str, tmp_path: Path) -> None:
    if name == "cut":
        pytest.importorskip("yaml")
    model, channels = Model.load(bundled(tmp_path, name)), BUNDLES[name][3]
    files = [volume(tmp_path / f"v{number}.nii.gz", number) for number in range(channels)]
    images = [read(file) for file in files]
    image = images[0].with_array(np.concatenate([one.array for one in images]))
    first = model.labels[0]
    case = Case.of(image, {first: image.array[0] > 100, model.labels[-1]: image.array[0] > 200})
    refined = fit(model, [case], settings=Settings(steps=1, batch=1, rate=1e-4, augmentation="none", device="cpu"))
    written = export(refined, "monai", tmp_path / "exported")
    again = Model.load(written)
    assert again.key == refined.key and again.labels == model.labels
    assert {"LICENSE", "casewise.toml"} <= {path.name for path in written.iterdir()}
    with pytest.raises(ModelError, match="never overwritten"):
        export(refined, "monai", written)
    theirs = monai_masks(written, files, tmp_path / "run")
    prediction = refined.predict(image, device="cpu")
    if prediction.regions:
        ours, theirs = np.stack(list(prediction.masks().values())), np.moveaxis(theirs, -1, 0)
    else:
        ours = prediction.mask
    assert ours.shape == theirs.shape and len(np.unique(theirs)) > 1
    assert (ours == theirs).mean() >= 0.999


@pytest.mark.parametrize(
    "step",
    [
        Range((-100.0, 240.0)),
        Range((0.0, 10.0), (-1.0, 1.0), clip=False),
        Extremes((-1.0, 1.0), by_channel=True),
        Normal(),
        Normal(nonzero=True, by_channel=True, mean=(1.0,), deviation=(2.0,)),
        Normal(mean=(1.0,), deviation=(2.0,)),
        Spacing((1.5, 1.5, 2.0)),
        Resize((64, 64, 32), "linear"),
        Resize(128),
        Foreground(),
        Foreground(margin=10, within=False, divisible=8),
        Pad(size=(64, 64, 64)),
        Pad(divisible=(16, 16, 8), end=True),
        Centre((64, 64, 64)),
    ],
)
def test_each_step_is_read_as_it_was_written(step: Step) -> None:
    load = {"_target_": "LoadImaged", "keys": "image"}
    config = Config({"preprocessing": {"_target_": "Compose", "transforms": [load, _transform(step, 3)]}}, Path("x"))
    doubts: list[str] = []
    assert steps_in(config, 3, doubts)[0] == (step,) and doubts == []


def test_what_monai_does_not_have_gets_a_sentence(tmp_path: Path) -> None:
    from casewise.models import shipped
    from tests.models.nnunet.small import written

    with pytest.raises(ModelError, match="as nnU-Net's plans say, for which MONAI has no transforms; export it as nnunet"):
        export(Model.load(written(tmp_path)), "monai", tmp_path / "no")
    with pytest.raises(ModelError, match="MONAI does not have the network of casewise-hippocampus"):
        export(shipped.load("hippocampus"), "monai", tmp_path / "no")
    assert not (tmp_path / "no").exists()
