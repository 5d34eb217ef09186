"""nnU-Net itself, in a process of its own: trains small models, and predicts with its own predictor.

``python peer.py train WORK DATASET CONFIGURATION STEPS [--residual] [--as-published]`` plans, prepares and trains on
``WORK/raw/DATASET``; results lie in ``WORK/results``, and masks of ``WORK/test`` in ``WORK/plain`` and ``WORK/mirrored``. As
published it keeps nnU-Net's own augmentation and optimiser, and epochs of 100 steps; else it learns a little within few steps.
``python peer.py predict MODEL IMAGES OUTPUT [--mirror]`` predicts alone.
``python peer.py total WEIGHTS JOBS.json`` runs TotalSegmentator's own pipeline, for each job its image, output, task, mode and
structures.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import sys
from pathlib import Path
from types import ModuleType
from typing import Any


def train(work: Path, dataset: str, configuration: str, steps: int, residual: bool, published: bool) -> None:
    os.environ |= {"nnUNet_n_proc_DA": "1", "nnUNet_def_n_proc": "1", "nnUNet_compile": "f"}
    import numpy as np
    import torch
    from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner
    from nnunetv2.experiment_planning.experiment_planners.residual_unets.residual_encoder_unet_planners import ResEncUNetPlanner
    from nnunetv2.experiment_planning.plan_and_preprocess_api import extract_fingerprints, preprocess
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    number = int(dataset[7:10])
    extract_fingerprints([number], num_processes=1)
    planner = (ResEncUNetPlanner if residual else ExperimentPlanner)(dataset)
    wide = 16 if published else 8
    planner.UNet_base_num_features, planner.UNet_max_features_2d, planner.UNet_max_features_3d = wide, 4 * wide, 4 * wide
    planner.UNet_vram_target_GB = 0.5
    planner.plan_experiment()
    written = work / "preprocessed" / dataset / f"{planner.plans_identifier}.json"
    plans = json.loads(written.read_text())
    own = plans["configurations"][configuration]
    own["batch_size"] = 8 if len(own["patch_size"]) == 2 else 2
    written.write_text(json.dumps(plans))
    preprocess([number], planner.plans_identifier, (configuration,), (1,))
    labels = json.loads((work / "raw" / dataset / "dataset.json").read_text())
    random.seed(0)  # nnU-Net sets no seed: what a model of few steps learns came out otherwise each time
    np.random.seed(0)
    torch.manual_seed(0)
    trainer = nnUNetTrainer(plans | {"continue_training": False}, configuration, "all", labels, device=torch.device("cpu"))
    epochs = steps // 100 if published else 1
    trainer.num_epochs, trainer.num_iterations_per_epoch, trainer.num_val_iterations_per_epoch = epochs, steps // epochs, 1
    os.environ |= {"nnUNet_n_proc_DA": "0"}  # no processes of its own
    if not published:
        _simplify(trainer, own["patch_size"])
    trainer.run_training()
    for name in ("plain", "mirrored"):
        predict(Path(trainer.output_folder_base), work / "test", work / name, name == "mirrored")


def _simplify(trainer: Any, patch: list[int]) -> None:
    """nnU-Net's own trainer, which finds structures within a few steps: Adam, and images as they are."""
    import torch
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    trainer.configure_optimizers = lambda: _adam(trainer, torch)
    laid = trainer.configure_rotation_dummyDA_mirroring_and_inital_patch_size
    trainer.configure_rotation_dummyDA_mirroring_and_inital_patch_size = lambda: (*laid()[:2], patch, laid()[3])
    trainer.get_training_transforms = lambda *given, **named: nnUNetTrainer.get_validation_transforms(
        given[2], named["is_cascaded"], named["foreground_labels"], named["regions"], named["ignore_label"]
    )


def _adam(trainer: Any, torch: Any) -> tuple[Any, Any]:
    optimizer = torch.optim.Adam(trainer.network.parameters(), lr=5e-3)
    return optimizer, torch.optim.lr_scheduler.ConstantLR(optimizer)


def predict(model: Path, images: Path, output: Path, mirror: bool) -> None:
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    output.mkdir(parents=True)
    predictor = nnUNetPredictor(use_mirroring=mirror, device=torch.device("cpu"), allow_tqdm=False)
    predictor.initialize_from_trained_model_folder(str(model), ("all",) if (model / "fold_all").is_dir() else None)
    predictor.predict_from_files_sequential(str(images), str(output), save_probabilities=False)


def total(weights: Path, jobs: list[dict[str, Any]]) -> None:
    """As TotalSegmentator's python_api.py does for tasks that are not cut to other structures; it fetches nothing."""
    os.environ |= {"nnUNet_results": str(weights), "nnUNet_raw": str(weights), "nnUNet_preprocessed": str(weights)}
    os.environ |= {"TOTALSEG_WEIGHTS_PATH": str(weights), "TOTALSEG_HOME_DIR": str(weights)}
    import torch

    torch.set_num_threads = lambda count: None
    # nnU-Net looks for a trainer in every file; this one needs timm, which is not here.
    absent = "nnunetv2.training.nnUNetTrainer.primus.primus_trainers"
    sys.modules[absent] = ModuleType(absent)
    from totalsegmentator.map_tasks_config import DEFAULT_CONFIG, TASK_CONFIGS
    from totalsegmentator.nnunet import nnUNet_predict_image, nnUNetPredictor

    torch.half = torch.float32  # in which nnU-Net sums logits, so that ones that are nearly the same are not the same
    # In this process, instead of in several that wait for each other.
    nnUNetPredictor.predict_from_files = lambda predictor, images, output, **others: predictor.predict_from_files_sequential(
        images, output
    )

    for job in jobs:
        task, own = job["task"], TASK_CONFIGS[job["task"]]
        own = DEFAULT_CONFIG | own.get("sub_modes", {job["mode"]: own})[job["mode"]]
        nnUNet_predict_image(
            job["image"], job["output"], own["task_id"], own["model"], own["folds"], own["trainer"], task_name=task,
            resample=own["resample"], roi_subset=job["structures"], nr_threads_saving=1, device="cpu", quiet=True,
        )  # fmt: skip


if __name__ == "__main__":
    # nnU-Net would start each of its processes anew, which takes longer than all that is done here.
    multiprocessing.get_context = lambda kind=None, real=multiprocessing.get_context: real("fork")
    work = Path(sys.argv[2])
    for name in ("raw", "preprocessed", "results"):
        os.environ[f"nnUNet_{name}"] = str(work / name)
        if sys.argv[1] == "train":
            (work / name).mkdir(exist_ok=True)
    if sys.argv[1] == "total":
        total(work, json.loads(Path(sys.argv[3]).read_text()))
    elif sys.argv[1] == "train":
        train(work, sys.argv[3], sys.argv[4], int(sys.argv[5]), "--residual" in sys.argv, "--as-published" in sys.argv)
    else:
        predict(work, Path(sys.argv[3]), Path(sys.argv[4]), "--mirror" in sys.argv)
