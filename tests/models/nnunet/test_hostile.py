"""Folders of nnU-Net that are damaged, that hold code, or that casewise does not read: one sentence, and nothing runs."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from casewise.errors import ModelError
from casewise.models import Model
from casewise.models.export import export
from casewise.models.planned.plan import plan_of
from tests.models.nnunet.small import CONFIGURATION, DATASET, PLANS, written


def test_a_folder_is_read_by_any_of_its_names_and_written_back(tmp_path: Path) -> None:
    folder = written(tmp_path / "Dataset007_Small")
    models = [Model.load(place) for place in (folder, folder.parent, folder / "fold_0")]
    assert len({model.key for model in models}) == 1
    assert models[0].labels == ("organ",)
    place = export(models[0], "nnunet", tmp_path / "results")
    assert place == tmp_path / "results/Dataset007_Small/nnUNetTrainer__nnUNetPlans__3d_fullres"
    assert Model.load(place).key == models[0].key
    names = set(torch.load(place / "fold_0/checkpoint_final.pth", weights_only=True)["network_weights"])
    assert names == set(torch.load(folder / "fold_0/checkpoint_final.pth", weights_only=True)["network_weights"])
    with pytest.raises(ModelError, match="never overwritten"):
        export(models[0], "nnunet", tmp_path / "results")


def test_torchscript_answers_as_the_network_does(tmp_path: Path) -> None:
    model = Model.load(written(tmp_path))
    file = export(model, "torchscript", tmp_path / "network.ts")
    x = torch.rand(1, 1, 16, 16, 16)
    with torch.inference_mode():
        assert torch.allclose(torch.jit.load(str(file))(x), model.network()(x), atol=1e-5)


def test_a_network_that_runs_confined_is_not_traced(tmp_path: Path) -> None:
    file = export(Model.load(written(tmp_path)), "torchscript", tmp_path / "network.ts")
    described = 'task = "segmentation"\nstructures = ["organ"]\n[input]\nspatial_dims = 3\nsize = [16, 16, 16]\nchannels = 1\n'
    file.with_name("network.ts.toml").write_text(described + 'intensity = "normal"\naxes = "SAR"\n')
    with pytest.raises(ModelError, match="cannot be traced"):
        export(Model.load(file), "torchscript", tmp_path / "again.ts")
    assert not (tmp_path / "again.ts").exists()


class Runs:
    """A pickle that would make a file where it is opened."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, (str(self.place),)


def test_code_in_a_checkpoint_is_never_run(tmp_path: Path) -> None:
    folder = written(tmp_path, logging=Runs(tmp_path / "ran"))
    with pytest.raises(ModelError, match="holds Python objects, which casewise never makes"):
        Model.load(folder)
    (folder / "fold_0/checkpoint_final.pth").write_bytes(pickle.dumps(Runs(tmp_path / "ran")))
    with pytest.raises(ModelError, match="holds Python objects"):
        Model.load(folder)
    assert not (tmp_path / "ran").exists()


def test_a_truncated_checkpoint_gets_a_sentence(tmp_path: Path) -> None:
    file = written(tmp_path) / "fold_0/checkpoint_final.pth"
    content = file.read_bytes()
    for share in (0.0, 0.3, 0.9):
        file.write_bytes(content[: int(share * len(content))])
        with pytest.raises(ModelError, match="is damaged"):
            Model.load(file.parents[1])


def _changed(**configuration: Any) -> dict[str, Any]:
    return {**PLANS, "configurations": {"3d_fullres": {**CONFIGURATION, **configuration}}}


def _arch(**arguments: Any) -> dict[str, Any]:
    architecture = CONFIGURATION["architecture"]
    return _changed(architecture={**architecture, "arch_kwargs": {**architecture["arch_kwargs"], **arguments}})


@pytest.mark.parametrize(
    ("plans", "dataset", "checkpoint", "sentence"),
    [
        (PLANS, DATASET, {"trainer_name": "nnUNetTrainerMine"}, "was trained by nnUNetTrainerMine"),
        (PLANS, DATASET, {"trainer_name": "nnUNetTrainerBN"}, "was trained by nnUNetTrainerBN"),
        (PLANS, DATASET, {"init_args": {"configuration": "2d"}}, "no whole configuration '2d'"),
        (PLANS, DATASET, {"network_weights": {}}, "holds no network_weights"),
        (PLANS, DATASET, {"inference_allowed_mirroring_axes": (7,)}, "they are of 0, 1 and 2"),
        (_changed(previous_stage="3d_lowres"), DATASET, {}, "second stage of a cascade"),
        (_changed(preprocessor_name="MyPreprocessor"), DATASET, {}, "preprocessor_name"),
        (_changed(resampling_fn_data="resample_torch_fornnunet"), DATASET, {}, "resampling_fn_data"),
        (_changed(normalization_schemes=["MyNormalization"]), DATASET, {}, "normalization_schemes"),
        (_changed(normalization_schemes=["CTNormalization"]), {**DATASET, "channel_names": {"0": "CT", "1": "CT"}}, {}, "2"),
        ({**PLANS, "image_reader_writer": "MyReader"}, DATASET, {}, "read images by MyReader"),
        ({**PLANS, "transpose_forward": [0, 0, 1]}, DATASET, {}, "transpose_forward"),
        (_arch(conv_op="os.system"), DATASET, {}, "name 'os.system' for conv_op"),
        (_arch(features_per_stage=[4, 16]), DATASET, {}, "do not fit the network"),
        (_arch(features_per_stage=[4096, 8192]), DATASET, {}, "cannot be built"),
        (PLANS, {**DATASET, "labels": {"background": 0, "a": 1, "b": 3}}, {}, "are not 1, 2, 3"),
        (PLANS, {**DATASET, "labels": {"a": 1}}, {}, "background is 0"),
        (PLANS, {**DATASET, "labels": {"background": 0, "a": [1, 2], "b": 2}}, {}, "regions_class_order"),
        (PLANS, {**DATASET, "labels": {"background": 0, "a": 1, "b": 2}}, {}, "do not fit the network"),
    ],
)
def test_what_casewise_does_not_do_as_nnunet_does_gets_a_sentence(
    plans: dict[str, Any], dataset: dict[str, Any], checkpoint: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    folder = written(tmp_path, plans, dataset, **checkpoint)
    with pytest.raises(ModelError, match=sentence):
        Model.load(folder)


def test_a_folder_without_a_fold_or_with_several_configurations_gets_a_sentence(tmp_path: Path) -> None:
    folder = written(tmp_path)
    other = tmp_path / "nnUNetTrainer__nnUNetPlans__2d"
    folder.rename(other)
    written(tmp_path)
    with pytest.raises(ModelError, match="several trained configurations"):
        Model.load(tmp_path)
    (other / "fold_0/checkpoint_final.pth").unlink()
    with pytest.raises(ModelError, match="left no fold with a checkpoint"):
        Model.load(other)


def test_names_of_folders_cannot_lead_out(tmp_path: Path) -> None:
    model = Model.load(written(tmp_path, {**PLANS, "dataset_name": "../../away"}))
    with pytest.raises(ModelError, match="no name for a folder"):
        export(model, "nnunet", tmp_path / "results")


def test_plans_of_before_2_3_describe_the_same_network(tmp_path: Path) -> None:
    old = {key: value for key, value in CONFIGURATION.items() if key != "architecture"} | {
        "UNet_class_name": "PlainConvUNet",
        "UNet_base_num_features": 4,
        "unet_max_num_features": 320,
        "conv_kernel_sizes": [[3, 3, 3], [3, 3, 3]],
        "pool_op_kernel_sizes": [[1, 1, 1], [2, 2, 2]],
        "n_conv_per_stage_encoder": [1, 1],
        "n_conv_per_stage_decoder": [1],
        "num_pool_per_axis": [1, 1, 1],
    }
    new = Model.load(written(tmp_path / "new"))
    file = written(tmp_path / "old")
    (file / "plans.json").write_text(json.dumps({**PLANS, "configurations": {"3d_fullres": old}}))
    read = Model.load(file)
    assert set(read.weights) == set(new.weights)
    assert plan_of(read.spec.network).stride == plan_of(new.spec.network).stride == (2, 2, 2)
