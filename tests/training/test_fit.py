"""The one training loop: it repeats itself exactly, goes on where it stopped, follows orders and weights, and learns."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from casewise.abnormality.inpainting import Adversarial, InpaintingBatches
from casewise.case import Case
from casewise.errors import CasewiseError, UsageError
from casewise.image import Image
from casewise.models import Model
from casewise.training import CaseBatches, Settings, TaskObjective, fit
from casewise.training.metrics import measure, per_case
from tests.discs import autoencoder, classifier, disc, disc_case, segmenter

CASES = [disc_case(seed) for seed in range(4)]
QUICK = Settings(steps=6, batch=3, device="cpu", checkpoint_every=2)
PLAIN = Settings(steps=4, batch=4, device="cpu", augmentation="none")


def same(first: Model, second: Model) -> bool:
    return all(torch.equal(first.weights[name], second.weights[name]) for name in first.weights)


def full_or_empty(seed: int) -> Case:
    image, mask = disc(seed)
    if seed % 2:
        return Case.of(image, category="full")
    return Case.of(image.with_array(np.where(mask, 0.2, image.array)), category="empty")


def models() -> dict[str, tuple[Model, list[Case]]]:
    return {
        "segmentation": (segmenter(), CASES),
        "classification": (classifier(), [full_or_empty(seed) for seed in range(4)]),
        "encoding": (autoencoder(), CASES),
        "volumes": (segmenter(3, 16), [disc_case(seed, (16, 18, 14)) for seed in range(3)]),
        "slices": (segmenter(2, 16), [disc_case(seed, (16, 18, 14)) for seed in range(3)]),
        "windows": (segmenter(3, 16, spacing=(1.0, 1.0, 1.0)), [disc_case(seed, (20, 18, 24)) for seed in range(3)]),
    }


@pytest.mark.parametrize("kind", list(models()))
def test_same_seed_same_weights(kind: str) -> None:
    model, cases = models()[kind]
    torch.manual_seed(1)
    first = fit(model, cases, settings=QUICK)
    torch.manual_seed(2)  # what the caller does with torch's own generator must not matter
    state = torch.random.get_rng_state()
    second = fit(model, cases, settings=QUICK)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert same(first, second)
    assert first.key == second.key
    assert not same(first, model)
    assert not same(first, fit(model, cases, settings=Settings(**{**vars(QUICK), "seed": 1})))


class StopNow(Exception):
    pass


def stop_at(step: int):
    def progress(done: int, total: int, loss: float) -> None:
        if done == step:
            raise StopNow

    return progress


@pytest.mark.parametrize(("kind", "stop"), [("segmentation", 1), ("segmentation", 5), *((kind, 3) for kind in models())])
def test_interrupted_and_resumed_is_uninterrupted(tmp_path: Path, kind: str, stop: int) -> None:
    model, cases = models()[kind]
    settings = Settings(**{**vars(QUICK), "validate_every": 2, "patience": 9})
    whole = fit(model, cases, settings=settings, validation=cases[:1])
    checkpoint = tmp_path / "state.pt"
    with pytest.raises(StopNow):
        fit(model, cases, settings=settings, validation=cases[:1], checkpoint=checkpoint, progress=stop_at(stop))
    assert checkpoint.exists() == (stop > 2)
    seen: list[int] = []
    resumed = fit(
        model, cases, settings=settings, validation=cases[:1], checkpoint=checkpoint, progress=lambda n, *_: seen.append(n)
    )  # fmt: skip
    assert seen[0] == (stop - 1) // 2 * 2 + 1
    assert same(whole, resumed)
    assert whole.lineage == resumed.lineage
    assert not list(tmp_path.iterdir())


KILLED = """
import sys, time
from pathlib import Path
import torch
torch.set_num_threads(1)
from casewise.training import Settings, fit
from tests.discs import disc_case, segmenter
settings = Settings(steps=40, batch=3, device="cpu", checkpoint_every=1)
folder = Path(sys.argv[1])
model = fit(segmenter(), [disc_case(seed) for seed in range(4)], settings=settings, checkpoint=folder / "state.pt",
            progress=lambda n, *_: print(n, flush=True))
model.save(folder / "model")
"""


def test_a_killed_training_goes_on(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    reached = 0
    for wait_for in (7, 19):
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for line in process.stdout:
            assert int(line) > reached  # never from the beginning again
            if int(line) >= wait_for:
                reached = int(line) - 2
                break
        process.send_signal(signal.SIGKILL)
        process.wait()
    settings = Settings(steps=40, batch=3, device="cpu", checkpoint_every=1)
    seen: list[int] = []
    resumed = fit(segmenter(), CASES, settings=settings, checkpoint=tmp_path / "state.pt", progress=lambda n, *_: seen.append(n))
    assert seen[0] > 17
    assert same(resumed, fit(segmenter(), CASES, settings=settings))


def test_another_trainings_checkpoint_is_refused(tmp_path: Path) -> None:
    checkpoint = tmp_path / "state.pt"
    with pytest.raises(StopNow):
        fit(segmenter(), CASES, settings=QUICK, checkpoint=checkpoint, progress=stop_at(3))
    others = (
        {"settings": Settings(**{**vars(QUICK), "rate": 1e-3})},
        {"batches": CASES[:3]},
        {"order": [0, 1, 2, 3]},
        {"weights": [1.0, 1.0, 1.0, 0.5]},
        {"trainable": "last"},
        {"validation": CASES[:1]},
        {"model": segmenter(channels=(4, 6))},
    )
    for change in others:
        with pytest.raises(CasewiseError, match="of a training with other"):
            fit(**({"model": segmenter(), "batches": CASES, "settings": QUICK, "checkpoint": checkpoint} | change))
    assert checkpoint.exists()


def test_a_checkpoint_of_another_loss_is_refused(tmp_path: Path) -> None:
    """All that changes the loss is in the key: the objective's own key, a discriminator and its weight, the batches' key."""
    model, pictures, checkpoint = autoencoder(), torch.rand(6, 1, 32, 32), tmp_path / "state.pt"
    critics = [Model.initial("critic", replace(classifier().spec, classes=("completed", "real")), seed) for seed in (0, 1)]

    def batches(edges: tuple[int, ...] = (6, 10), cases: tuple[str, ...] = ("a", "b")) -> InpaintingBatches:
        return InpaintingBatches(pictures, edges, cases)

    usual = {
        "batches": batches(),
        "objective": Adversarial(model.spec, critics[0], 0.1),
        "settings": QUICK,
        "checkpoint": checkpoint,
    }
    with pytest.raises(StopNow):
        fit(model, **usual, progress=stop_at(3))
    for change in (
        {"objective": Adversarial(model.spec, critics[0], 0.2)},
        {"objective": Adversarial(model.spec, critics[1], 0.1)},
        {"objective": TaskObjective(model.spec)},
        {"batches": batches(edges=(6,))},
        {"batches": batches(cases=("a", "c"))},
        {"settings": replace(QUICK, rate=1e-3)},
    ):
        with pytest.raises(CasewiseError, match="of a training with other"):
            fit(model, **(usual | change))
    assert fit(model, **usual).trained_on == {"a", "b"}


def test_batches_of_cases_know_their_own_order_weights_and_augmentation() -> None:
    keys = {
        CaseBatches(CASES, segmenter().spec, settings=settings, **more).key
        for settings in (QUICK, replace(QUICK, augmentation="none"), replace(QUICK, seed=5), replace(QUICK, partial=True))
        for more in ({}, {"order": [0, 1]}, {"weights": [1.0, 1.0, 1.0, 0.5]})
    }
    assert len(keys) == 12
    made = CaseBatches(CASES, segmenter().spec, weights=[1.0, 1.0, 1.0, 0.5], settings=QUICK)
    assert same(fit(segmenter(), made, settings=QUICK), fit(segmenter(), CASES, weights=[1.0, 1.0, 1.0, 0.5], settings=QUICK))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_damaged_checkpoint_gets_a_sentence(tmp_path: Path, share: float) -> None:
    checkpoint = tmp_path / "state.pt"
    with pytest.raises(StopNow):
        fit(segmenter(), CASES, settings=QUICK, checkpoint=checkpoint, progress=stop_at(3))
    data = checkpoint.read_bytes()
    checkpoint.write_bytes(data[: int(share * len(data))])
    with pytest.raises(CasewiseError, match=r"cannot be read .* delete it"):
        fit(segmenter(), CASES, settings=QUICK, checkpoint=checkpoint)


def test_a_checkpoint_is_not_executed(tmp_path: Path) -> None:
    class Sentinel:
        def __reduce__(self):
            return Path.touch, (tmp_path / "ran",)

    torch.save({"fingerprint": Sentinel()}, tmp_path / "state.pt")
    with pytest.raises(CasewiseError, match="cannot be read"):
        fit(segmenter(), CASES, settings=QUICK, checkpoint=tmp_path / "state.pt")
    assert not (tmp_path / "ran").exists()


def test_early_stopping_returns_the_best() -> None:
    """A good model taught wrong labels grows worse: the weights of the best validation come back, and training ends early."""
    good = fit(segmenter(), CASES, settings=Settings(steps=100, batch=4, rate=1e-2, augmentation="none", device="cpu"))
    wrong = [Case.of(case.image, {"disc": ~case.load_masks["disc"]()}) for case in CASES]
    steps: list[int] = []
    settings = Settings(steps=200, batch=4, rate=2e-3, augmentation="none", device="cpu", validate_every=2, patience=20)
    model = fit(good, wrong, settings=settings, validation=CASES[:2], progress=lambda n, *_: steps.append(n))
    last = fit(good, wrong, settings=Settings(**{**vars(settings), "steps": len(steps)}))
    assert 42 <= len(steps) < 60  # the best of the first validations, and twenty more without a better one
    assert measure(model, CASES[:2])["dice"] == pytest.approx(model.lineage.measures["validation_dice"])
    assert measure(model, CASES[:2])["dice"] > max(0.9, measure(last, CASES[:2])["dice"] + 0.1)


def test_without_validation_the_last_weights_come_back() -> None:
    assert fit(segmenter(), CASES, settings=QUICK).lineage.measures == {}


def test_the_order_given_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    displayed: list[int] = []
    original = CaseBatches._case_at

    def record(self: CaseBatches, place: int) -> int:
        displayed.append(original(self, place))
        return displayed[-1]

    monkeypatch.setattr(CaseBatches, "_case_at", record)
    fit(segmenter(), CASES, order=[3, 0, 0, 1], settings=QUICK)
    assert displayed == ([3, 0, 0, 1] * 5)[:18]
    displayed.clear()
    fit(segmenter(), CASES, order=np.array([2, 1]), settings=QUICK)
    assert displayed == [2, 1] * 9
    displayed.clear()
    fit(segmenter(), CASES, settings=Settings(steps=4, batch=4, device="cpu"))
    rounds = [displayed[start : start + 4] for start in range(0, 16, 4)]
    assert all(sorted(round_) == [0, 1, 2, 3] for round_ in rounds)
    assert len({tuple(round_) for round_ in rounds}) > 1


def test_the_order_decides_what_is_learnt() -> None:
    first = fit(segmenter(), CASES, order=[0, 1], settings=PLAIN)
    assert same(first, fit(segmenter(), CASES[:2], order=[0, 1], settings=PLAIN))
    assert not same(first, fit(segmenter(), CASES, order=[2, 3], settings=PLAIN))


@pytest.mark.parametrize("augmentation", ["none", "strong"])
def test_a_case_of_weight_zero_has_no_influence(augmentation: str) -> None:
    settings = Settings(**{**vars(PLAIN), "augmentation": augmentation})
    weights = [1.0, 0.0, 0.5, 1.0]
    changed = [CASES[0], disc_case(99), *CASES[2:]]
    assert same(
        fit(segmenter(), CASES, weights=weights, settings=settings), fit(segmenter(), changed, weights=weights, settings=settings)
    )
    weights = [1.0, 0.1, 0.5, 1.0]
    assert not same(
        fit(segmenter(), CASES, weights=weights, settings=settings), fit(segmenter(), changed, weights=weights, settings=settings)
    )


def test_labels_under_voxel_weight_zero_have_no_influence() -> None:
    maps = [np.ones((32, 32), np.float32) for _ in CASES]
    for array in maps:
        array[20:, :] = 0
    wrong = []
    for case in CASES:
        mask = case.load_masks["disc"]().copy()
        mask[20:, :] = ~mask[20:, :]
        wrong.append(Case.of(case.image, {"disc": mask}))
    first, second = (fit(segmenter(), cases, weights=maps, settings=PLAIN) for cases in (CASES, wrong))
    assert same(first, second)
    assert not same(fit(segmenter(), CASES, settings=PLAIN), fit(segmenter(), wrong, settings=PLAIN))
    assert not same(first, fit(segmenter(), CASES, weights=[np.ones((32, 32), np.float32)] * 4, settings=PLAIN))


def test_voxel_weights_move_with_the_image() -> None:
    """Under strong augmentation, labels in the weightless half still teach nothing but at its interpolated edge."""
    settings = Settings(steps=60, batch=4, rate=1e-2, device="cpu")
    maps = [np.ones((32, 32), np.float32) for _ in CASES]
    wrong = []
    for case, array in zip(CASES, maps, strict=True):
        array[:, :8] = 0
        wrong.append(Case.of(case.image, {"disc": case.load_masks["disc"]() | (array == 0)}))
    heeded = fit(segmenter(), wrong, weights=maps, settings=settings)
    misled = fit(segmenter(), wrong, settings=settings)
    assert measure(heeded, CASES)["dice"] > measure(misled, CASES)["dice"] + 0.1


@pytest.mark.parametrize(
    ("trainable", "moved"), [("last", "head"), (["decoder"], "decoder"), (("encoder.levels.0", "head"), ""), ("encoder", "encoder")]
)
def test_only_the_trainable_part_changes(trainable: str | list[str] | tuple[str, ...], moved: str) -> None:
    parent = segmenter()
    child = fit(parent, CASES, trainable=trainable, settings=QUICK)
    beginnings = ("encoder.levels.0", "head") if not moved else (moved,)
    for name in parent.weights:
        if not name.startswith(beginnings):
            assert torch.equal(parent.weights[name], child.weights[name]), name
    assert any(not torch.equal(parent.weights[name], child.weights[name]) for name in parent.weights if name.startswith(beginnings))


def test_refinement_leaves_the_parent_as_it_was() -> None:
    parent = segmenter()
    before = {name: tensor.clone() for name, tensor in parent.weights.items()}
    key, answer = parent.key, parent.predict(CASES[0].image).probabilities
    child = fit(parent, CASES[:2], settings=QUICK, method="similar", name="child")
    assert all(torch.equal(before[name], parent.weights[name]) for name in before)
    assert np.array_equal(parent.predict(CASES[0].image).probabilities, answer)
    assert (child.lineage.parent, child.lineage.parent_name, child.name) == (key, "discs", "child")
    assert child.lineage.refined_on == tuple(case.key for case in CASES[:2])
    grandchild = fit(child, CASES[2:], settings=QUICK)
    assert grandchild.trained_on == {case.key for case in CASES}
    assert child.trained_on == {case.key for case in CASES[:2]}


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: fit(segmenter(), [], settings=QUICK), "no cases to train on"),
        (lambda: fit(segmenter(), CaseBatches(CASES, segmenter().spec), order=[0], settings=QUICK), "have their own"),
        (lambda: fit(segmenter(), CASES, TaskObjective(segmenter().spec), validation=CASES), "measures by itself"),
        (lambda: fit(segmenter(), CASES, order="random", settings=QUICK), "numbers of cases from 0 to 3"),
        (lambda: fit(segmenter(), CASES, order=[4], settings=QUICK), "numbers of cases from 0 to 3"),
        (lambda: fit(segmenter(), CASES, order=[], settings=QUICK), "numbers of cases from 0 to 3"),
        (lambda: fit(segmenter(), CASES, weights=[1.0], settings=QUICK), "4 cases and 1 weights"),
        (lambda: fit(segmenter(), CASES, weights=[1.0, -1.0, 1.0, 1.0], settings=QUICK), "less than 0"),
        (lambda: fit(segmenter(), CASES, weights=[float("nan")] * 4, settings=QUICK), "not a number"),
        (lambda: fit(segmenter(), CASES, weights=[0.0] * 4, settings=QUICK), "All weights are 0"),
        (lambda: fit(segmenter(), CASES, weights=[np.ones((3, 3))] * 4, settings=QUICK), r"weights of disc 0"),
        (lambda: fit(segmenter(), CASES, trainable="tail", settings=QUICK), "its parts are decoder, encoder, head"),
        (lambda: fit(segmenter(), [Case.of(disc(1)[0])], settings=QUICK), "no mask for disc"),
        (lambda: fit(segmenter(), [Case.of(disc(1)[0], {"disc": np.ones((3, 3))}, name="odd")], settings=QUICK), r"mask of odd"),
        (lambda: fit(classifier(), [disc_case(1, category="grey")], settings=QUICK), "'grey' and the model knows full, empty"),
        (lambda: fit(classifier(), [full_or_empty(1)], weights=[np.ones((32, 32))], settings=QUICK), "for a segmenter alone"),
        (lambda: fit(segmenter(3, 16), CASES, settings=QUICK), "takes volumes"),
        (lambda: Settings(steps=0), "at least one step"),
        (lambda: Settings(augmentation="wild"), "strong"),
        (lambda: Settings(validate_every=0), "counted from 1"),
        (lambda: fit(segmenter(), CASES, settings=Settings(device="tpu")), "device is one of"),
    ],
)  # fmt: skip
def test_wrong_calls_get_a_sentence(call, words: str) -> None:
    with pytest.raises(CasewiseError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_wrong_options_are_usage_errors() -> None:
    with pytest.raises(UsageError):
        fit(segmenter(), CASES, order=[7], settings=QUICK)


def test_voxels_that_are_not_numbers_get_a_sentence() -> None:
    image, mask = disc(1)
    array = image.array.copy()
    array[0, 3, 4] = np.nan
    with pytest.raises(CasewiseError, match="1 of the image's 1024 values"):
        fit(segmenter(), [Case.of(image.with_array(array), {"disc": mask})], settings=QUICK)


def test_a_loss_that_is_not_a_number_gets_a_sentence() -> None:
    model = segmenter()
    spoilt = dict(model.weights) | {"head.bias": torch.tensor([float("nan"), 0.0])}
    with pytest.raises(CasewiseError, match="broke off at step 1"):
        fit(Model("spoilt", model.spec, spoilt), CASES, settings=QUICK)


def test_intensities_beyond_0_to_1_are_kept_by_augmentation() -> None:
    """A model that takes raw values (CT in HU) learns as well with augmentation as one that takes 0…1."""
    cases = []
    for seed in range(4):
        image, mask = disc(seed)
        cases.append(Case.of(Image(image.array * 100000 - 20000, image.affine), {"disc": mask}))
    settings = Settings(steps=120, batch=4, rate=1e-2, augmentation="light", device="cpu")
    for intensity in ("none", "normal"):
        assert measure(fit(segmenter(intensity=intensity), cases, settings=settings), cases)["dice"] > 0.85


def test_learns_discs_quickly() -> None:
    training = [disc_case(seed) for seed in range(12)]
    model = fit(segmenter(channels=(8, 16)), training, settings=Settings(steps=200, batch=6, rate=5e-3, device="cpu"))
    unseen = [disc_case(seed) for seed in range(100, 110)]
    dice = measure(model, unseen)["dice"]
    assert dice > 0.9
    assert dice > measure(segmenter(channels=(8, 16)), unseen)["dice"] + 0.4


def test_learns_balls_in_windows() -> None:
    """3D, at a given spacing, in windows smaller than the volume."""
    training = [disc_case(seed, (24, 20, 28)) for seed in range(6)]
    model = segmenter(3, 16, spacing=(1.0, 1.0, 1.0))
    trained = fit(model, training, settings=Settings(steps=60, batch=2, rate=1e-2, augmentation="light", device="cpu"))
    assert measure(trained, [disc_case(seed, (24, 20, 28)) for seed in (50, 51)])["dice"] > 0.85


def test_learns_to_tell_discs_from_noise() -> None:
    settings = Settings(steps=60, batch=6, rate=1e-2, augmentation="light", device="cpu")
    trained = fit(classifier(), [full_or_empty(seed) for seed in range(12)], settings=settings)
    measures = measure(trained, [full_or_empty(seed) for seed in range(40, 50)])
    assert measures["accuracy"] == 1
    assert measures["loss"] < 0.5


def test_an_autoencoder_learns_to_rebuild() -> None:
    model = autoencoder()
    trained = fit(
        model, CASES, settings=Settings(steps=60, batch=4, rate=1e-2, augmentation="none", device="cpu"), validation=CASES
    )
    assert measure(trained, CASES)["loss"] < measure(model, CASES)["loss"] / 2
    assert trained.lineage.measures["validation_likeness"] == pytest.approx(-measure(trained, CASES)["loss"], rel=1e-3)


def test_dice_of_cases() -> None:
    model = segmenter()
    empty = Case.of(disc(1)[0], {"disc": np.zeros((32, 32), bool)})
    nothing = dict(model.weights) | {
        "head.weight": torch.zeros_like(model.weights["head.weight"]),
        "head.bias": torch.tensor([1.0, 0]),
    }
    silent = Model("silent", model.spec, nothing)
    assert per_case(silent.ready(), silent.spec, [empty, CASES[0]])["dice"] == [1.0, 0.0]
