"""Published bundles of MONAI's zoo: what casewise reads of their configurations, beside MONAI's own pipelines of the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt
import pytest

from benchmarks._zoo_monai import ZOO, monai_mask, with_weights
from casewise.errors import ModelError
from casewise.formats import read
from casewise.image import Image
from casewise.models import Model
from casewise.models.foreign.bundle import defined_network
from casewise.models.foreign.bundle_input import described
from casewise.models.foreign.config import Config, read_mapping
from casewise.models.networks.monai_net import build_monai
from casewise.models.steps import Foreground, Normal, Range, Resize, Spacing

SOFTMAX = json.loads((ZOO / "spleen_ct_segmentation" / "configs" / "inference.json").read_text())["postprocessing"]["transforms"]


def agreement(ours: npt.NDArray[np.uint8], theirs: npt.NDArray[np.uint8]) -> float:
    """The share of voxels with the same label, of masks that are no single structure."""
    assert ours.shape == theirs.shape
    assert len(np.unique(theirs)) > 1
    return float((ours == theirs).mean())


@pytest.fixture
def ct(shared_data: Path, tmp_path: Path) -> Path:
    """A part of a CT of 3 mm, stored along P, L and I, with shifted and finely tilted axes."""
    volume = nibabel.load(shared_data / "totalseg-example" / "example_ct_sm.nii.gz").slicer[24:74, 20:56, 2:26]
    turned = volume.as_reoriented(nibabel.orientations.axcodes2ornt("PLI"))
    path = tmp_path / "ct.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.asarray(turned.dataobj, np.float32), turned.affine), path)
    return path


def test_a_ct_window_at_its_spacing(ct: Path, tmp_path: Path) -> None:
    bundle = with_weights(ZOO / "spleen_ct_segmentation", tmp_path / "spleen")
    model = Model.load(bundle)
    preparation = model.spec.preparation
    assert preparation.steps == (Spacing((1.5, 1.5, 2.0)), Range((-57.0, 164.0)))
    assert (preparation.overlap, preparation.blending, preparation.axes) == (0.5, "constant", "RAS")
    assert agreement(model.predict(read(ct), device="cpu").mask, monai_mask(bundle, ct)) >= 0.999
    again = Model.load(model.save(tmp_path / "kept"))
    assert again.spec == model.spec
    assert again.key == model.key


def narrow(document: dict[str, Any]) -> None:
    document["network_def"] |= {"init_filters": 8, "blocks_down": [1, 1, 1, 1]}


def test_normalised_where_it_is_not_zero_and_restored_from_the_nearest_voxel(ct: Path, tmp_path: Path) -> None:
    bundle = with_weights(ZOO / "wholeBody_ct_segmentation", tmp_path / "body", change=narrow)
    model = Model.load(bundle)
    preparation = model.spec.preparation
    assert preparation.steps[1] == Normal(nonzero=True)
    assert (preparation.padding, preparation.restored, len(model.labels)) == ("replicate", "nearest", 104)
    small = nibabel.load(ct).slicer[:24, :20, :20]
    nibabel.save(small, ct)
    assert agreement(model.predict(read(ct), device="cpu").mask, monai_mask(bundle, ct)) >= 0.999


def test_cut_to_the_foreground(ct: Path, tmp_path: Path) -> None:
    pytest.importorskip("yaml")
    source = ZOO / "pediatric_abdominal_ct_segmentation"
    bundle = with_weights(
        source, tmp_path / "b", change=lambda document: document["network_def"].update(filters=[4, 8, 8, 8, 8, 8])
    )
    assert (bundle / "models" / "dynunet_FT.pt").is_file()
    model = Model.load(bundle)
    assert model.spec.preparation.steps[-1] == Foreground()
    volume = nibabel.load(ct)
    array = np.asarray(volume.dataobj, np.float32).copy()
    array[:6], array[:, -9:], array[:, :, :3] = -1000, -1000, -900
    nibabel.save(nibabel.Nifti1Image(array, volume.affine), ct)
    ours = model.predict(read(ct), device="cpu")
    assert (ours.mask[:5] == 0).all()
    assert np.allclose(ours.probabilities.sum(axis=0), 1, atol=1e-5)
    assert agreement(ours.mask, monai_mask(bundle, ct)) >= 0.999


def cropped_sequences(shared_data: Path, folder: Path) -> list[Path]:
    """A patient's four sequences, of the middle of the head alone, in the order of the bundle's channels."""
    paths = []
    for name in ("T1POST", "T1", "T2", "FLAIR"):
        (found,) = (shared_data / "open-ms" / "patient07").glob(f"{name}_*.nii.gz")
        volume = nibabel.load(found).slicer[50:120, 60:130, 40:90]
        paths.append(folder / f"{name}.nii.gz")
        nibabel.save(nibabel.Nifti1Image(np.asarray(volume.dataobj, np.float32), volume.affine), paths[-1])
    return paths


def test_structures_that_overlap(shared_data: Path, tmp_path: Path) -> None:
    """Three sigmoid outputs, and what makes one map of numbers of their masks."""

    def small(document: dict[str, Any]) -> None:
        narrow(document)
        document["inferer"]["roi_size"] = [64, 64, 48]

    bundle = with_weights(ZOO / "brats_mri_segmentation", tmp_path / "b", change=small)
    paths = cropped_sequences(shared_data, tmp_path)
    images = [read(path) for path in paths]
    (bundle / "casewise.toml").write_text(f'[input]\naxes = "{"".join(nibabel.aff2axcodes(images[0].affine))}"')
    model = Model.load(bundle)
    assert model.spec.preparation.sequences == ("T1c", "T1", "T2", "FLAIR")
    image = Image(np.concatenate([one.array for one in images]), images[0].affine)
    masks = model.predict(image, device="cpu").masks()
    core, whole, enhancing = (masks[name] for name in ("Tumor core", "Whole tumor", "Enhancing tumor"))
    assert all(0.1 < mask.mean() < 0.9 for mask in (core, whole, enhancing))
    assert (core & whole).any() and (core & ~whole).any() and (whole & ~core & enhancing).any()
    ours = np.where(enhancing, 4, np.where(core, 1, np.where(whole, 2, 0))).astype(np.uint8)
    assert agreement(ours, monai_mask(bundle, paths)) >= 0.999
    assert Model.load(model.save(tmp_path / "kept")).key == model.key


def four_sequences(document: dict[str, Any]) -> None:
    narrow(document)
    document["network_def"]["out_channels"] = 2  # instead of three that overlap
    document["postprocessing"]["transforms"] = SOFTMAX
    document |= {key: "" for key in ("image_key", "output_ext", "output_dtype", "output_postfix", "separate_folder")}
    document |= {"image_key": "image", "inferer": document["inferer"] | {"roi_size": [64, 64, 48]}}


def test_four_mr_sequences_each_normalised_on_the_files_own_grid(shared_data: Path, tmp_path: Path) -> None:
    bundle = with_weights(ZOO / "brats_mri_segmentation", tmp_path / "b", change=four_sequences)
    metadata = bundle / "configs" / "metadata.json"
    document = json.loads(metadata.read_text())
    document["network_data_format"]["outputs"]["pred"]["channel_def"] = {"0": "background", "1": "tumour"}
    metadata.write_text(json.dumps(document))
    with pytest.raises(ModelError, match="no Orientation"):
        Model.load(bundle)
    paths = cropped_sequences(shared_data, tmp_path)
    images = [read(path) for path in paths]
    (bundle / "casewise.toml").write_text(f'[input]\naxes = "{"".join(nibabel.aff2axcodes(images[0].affine))}"')
    model = Model.load(bundle)
    assert model.spec.preparation.steps == (Normal(nonzero=True, by_channel=True),)
    image = Image(np.concatenate([one.array for one in images]), images[0].affine)
    assert agreement(model.predict(image, device="cpu").mask, monai_mask(bundle, paths)) >= 0.999


def test_slices_of_a_volume_that_is_scaled_as_a_whole(shared_data: Path, tmp_path: Path) -> None:
    bundle = with_weights(ZOO / "ventricular_short_axis_3label", tmp_path / "b")
    (bundle / "casewise.toml").write_text('[input]\naxes = "RAS"')
    path = min((shared_data / "hippocampus" / "images").glob("*.nii.gz"))
    model = Model.load(bundle)
    assert (model.spec.preparation.spatial_dims, model.spec.preparation.overlap) == (2, 0.25)
    assert agreement(model.predict(read(path), device="cpu").mask, monai_mask(bundle, path)) >= 0.999


def test_a_picture_stretched_to_a_size(shared_data: Path, tmp_path: Path) -> None:
    path = min((shared_data / "kinds" / "endoscopy").rglob("*.jpg"))
    bundle = with_weights(ZOO / "endoscopic_tool_segmentation", tmp_path / "b")
    model = Model.load(bundle)
    preparation = model.spec.preparation
    assert preparation.steps[0] == Resize((736, 480), "linear")
    assert (preparation.restored, preparation.windowed) == ("logits", False)
    theirs = monai_mask(bundle, path).T  # MONAI reads a picture as (column, row)
    assert agreement(model.predict(read(path), device="cpu").mask, theirs) >= 0.999


def sigmoid(document: dict[str, Any]) -> None:
    document["network_def"] |= {"out_channels": 1, "channels": [4, 8, 8, 8, 8]}
    activation, _, discrete = document["postprocessing"]["transforms"][:3]
    del activation["softmax"], discrete["argmax"]
    activation["sigmoid"], discrete["threshold"] = True, 0.5


def test_one_sigmoid_output(ct: Path, tmp_path: Path) -> None:
    bundle = with_weights(ZOO / "spleen_ct_segmentation", tmp_path / "b", change=sigmoid)
    metadata = bundle / "configs" / "metadata.json"
    document = json.loads(metadata.read_text())
    document["network_data_format"]["outputs"]["pred"]["channel_def"] = {"0": "spleen"}
    metadata.write_text(json.dumps(document))
    model = Model.load(bundle)
    assert model.spec.network["answers"] == "sigmoid"
    assert agreement(model.predict(read(ct), device="cpu").mask, monai_mask(bundle, ct)) >= 0.999


MISSING = {
    "CoronSegmentator": "network by code",
    "brats_mri_segmentation": "no Orientation",
    "mindgrab": "scripts.network.MindGrabNet",
    "mindmap": "scripts.network.MindMapNet",
    "multi_organ_segmentation": "DiNTS has an argument that is no plain value",
    "oir_flatmount_segmentation": "AttentionUNetTransformer",
    "pancreas_ct_dints_segmentation": "DiNTS has an argument that is no plain value",
    "pathology_nuclei_segmentation_classification": "HoVerNet",
    "pathology_nuclick_annotation": "AddClickSignals",
    "prostate_mri_anatomy": "KeepLargestConnectedComponent",
    "renalStructures_CECT_segmentation": "scripts.my_transforms.ConcatImages",
    "renalStructures_UNEST_segmentation": "scripts.networks.unest.UNesT",
    "retinalOCT_RPD_segmentation": "network by code",
    "segmentation_template": "no Orientation",
    "spleen_ct_segmentation_real_time": "no Orientation",
    "spleen_deepedit_annotation": "len(@label_names) + @number_intensity_ch",
    "ventricular_short_axis_3label": "no Orientation",
    "vista2d": "CellSamWrapper",
    "vista3d": "vista3d132",
    "wholeBrainSeg_Large_UNEST_segmentation": "unest_base_patch_4.UNesT",
}
LOADED = {
    "endoscopic_tool_segmentation": ("FlexibleUNet", ["resize", "extremes"], 1),
    "pediatric_abdominal_ct_segmentation": ("DynUNet", ["spacing", "range", "foreground"], 3),
    "spleen_ct_segmentation": ("UNet", ["spacing", "range"], 1),
    "surgical_tool_segmentation": ("FlexibleUNet", ["resize", "extremes"], 1),
    "swin_unetr_btcv_segmentation": ("SwinUNETR", ["spacing", "range"], 13),
    "wholeBody_ct_segmentation": ("SegResNet", ["spacing", "normal", "extremes"], 104),
}


def test_every_kept_bundle_is_spoken_of() -> None:
    assert {path.name for path in ZOO.iterdir() if path.is_dir()} == set(MISSING) | set(LOADED)


@pytest.mark.parametrize("name", sorted(MISSING))
def test_a_sentence_names_what_is_missing(tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelError) as caught:
        Model.load(with_weights(ZOO / name, tmp_path / name, balanced=False))
    assert MISSING[name] in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", sorted(LOADED))
def test_a_configuration_is_read_as_it_is_published(name: str) -> None:
    """The network itself is built by the benchmark, which takes minutes."""
    network, steps, structures = LOADED[name]
    config = Config.read(ZOO / name)
    assert defined_network(config)[0] == network
    metadata = read_mapping(ZOO / name / "configs" / "metadata.json")
    document, doubts = described(config, metadata, defined_network(config)[1], {})
    assert doubts.left({}) == []
    assert [step["step"] for step in document["input"]["steps"]] == steps
    assert len(document["structures"]) == structures


def test_a_network_keeps_its_weights_without_an_argument_that_monai_dropped() -> None:
    pytest.importorskip("einops")
    arguments = {"in_channels": 1, "out_channels": 2, "feature_size": 12, "img_size": 96}
    network = build_monai({"name": "SwinUNETR", "arguments": json.dumps(arguments)})
    assert "swinViT.patch_embed.proj.weight" in network.state_dict()
