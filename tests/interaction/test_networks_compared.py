"""Networks are compared after trainings of one length, which go on where they were interrupted; tables tell what was measured."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks import _interaction_networks as networks
from benchmarks import driver, interaction, interaction_networks
from benchmarks._interaction_networks import NETWORKS, trained
from benchmarks._interaction_table import differences, methods_table
from casewise.case import Case
from casewise.interaction import InteractiveSegmentation
from casewise.interaction.simulation.pictures import SimulatedUser
from casewise.models.networks.prompts import PROMPTS
from experiments.interaction.measure import ANOTHER, OURS
from tests.interaction.conftest import disc_picture

TINY = {"prompt_unet": [4, 4], "p_net": [4, 4]}


def discs(network):
    def draw(rng):
        image, truth = disc_picture(60, float(rng.uniform(8, 18)))
        return image.array[0], truth

    return SimulatedUser(draw, "discs", (32, 32), networks.HABITS, PROMPTS, [Case.of(disc_picture()[0]).key])


@pytest.mark.parametrize("network", [one for one in NETWORKS if one.dims == 2], ids=lambda one: one.name)
def test_an_interrupted_training_goes_on_and_is_made_once(network, tmp_path, monkeypatch):
    class StoppedHereError(Exception):
        pass

    tiny = replace(network, settings={**network.settings, "channels": TINY[network.settings["kind"]]}, batch=2)
    monkeypatch.setattr(networks, "_affordable", lambda *given: 14)
    monkeypatch.setattr(networks, "_KEPT", 6)

    def once(made):
        batches = discs(made)
        original = batches.batch

        def stop(step, *given):
            if step == 8:
                raise StoppedHereError
            return original(step, *given)

        batches.batch = stop
        return batches

    with pytest.raises(StoppedHereError):
        trained(tiny, tmp_path / "one", make=once)
    before = json.loads((tmp_path / "one" / "training.json").read_text())
    assert before["steps"] == 14 and before["seconds"] > 0

    went_on = trained(tiny, tmp_path / "one", make=discs)
    assert went_on.seconds > before["seconds"]
    whole = trained(tiny, tmp_path / "two", make=discs)
    for name, tensor in whole.model.weights.items():
        assert torch.allclose(tensor, went_on.model.weights[name], atol=1e-4)
    again = trained(tiny, tmp_path / "one", make=lambda made: pytest.fail("it was trained already"))
    assert (again.model.key, again.steps, again.seconds) == (went_on.model.key, 14, went_on.seconds)
    image, _ = disc_picture()
    assert InteractiveSegmentation(again.model, image, [(22, 68), (22, 68)]).add_scribbles([[45, 45]])[45, 45]


def test_the_steps_are_those_that_there_is_time_for(monkeypatch):
    tiny = replace(NETWORKS[0], settings={"kind": "prompt_unet", "channels": [4, 4]}, batch=2)
    few, many = (networks._affordable(replace(tiny, seconds=s), discs(tiny), 0) for s in (1.0, 100.0))
    assert many > 10 * few >= 10


def row(method, patient, dice):
    reported = {
        "task": f"{patient} slice 1",
        "group": "heart",
        "structure": "wall",
        "seen": False,
        "voxels": 20,
        "hd95": 1.0,
        "expert": None,
    }
    scores = [dice] * 3 + [min(1.0, dice + 0.1)] * 6
    return {"method": method, "patient": patient, "dice": scores, "seconds": [0.1] * 9} | reported


def page(rows):
    return driver.page(interaction.BENCHMARK, {"machine": "a machine", "rows": {"heart, all": rows}})


def test_other_trainings_are_reported_as_mean_and_range_and_are_no_peers():
    scores = {OURS: 0.80, f"{ANOTHER} (1)": 0.84, f"{ANOTHER} (2)": 0.76, "a peer": 0.95}
    rows = [row(method, f"p{n}", dice + 0.002 * n) for method, dice in scores.items() for n in range(6)]
    reported = page(rows)
    line = next(line for line in reported.splitlines() if line.startswith("Over these 3 models"))
    assert "Dice after 2 0.805 (0.765–0.845)" in line and "NoI90 5.00 (3.00–9.00)" in line and "reached 67% (0%–100%)" in line
    beaten = reported[reported.index("Where a peer is better") :].partition("## What was tried")[0]
    assert "a peer" in beaten and ANOTHER not in beaten
    names = [cells.split("|")[1].strip() for cells in reported.splitlines() if cells.startswith(("| casewise", "| a peer"))]
    assert names[:4] == [OURS, f"{ANOTHER} (1)", f"{ANOTHER} (2)", "a peer"]
    assert "Over these" not in page([one for one in rows if not one["method"].startswith(ANOTHER)])


def test_differences_are_signed_and_paired_by_patient():
    rng = np.random.default_rng(0)
    rows = [row(name, f"p{n}", base + 0.01 * rng.random()) for name, base in (("first", 0.7), ("second", 0.6)) for n in range(8)]
    line = next(line for line in differences(rows, "first").splitlines() if line.startswith("| second"))
    cells = line.split("|")[2:-1]
    assert all(cell.strip().startswith("-0.") for cell in cells) and "0.0078" in cells[0]
    assert methods_table(rows, "first").splitlines()[4].startswith("| first |")


def test_a_page_has_every_network_and_p_net_tuned(monkeypatch):
    flat = [one for one in NETWORKS if one.dims == 2]
    monkeypatch.setattr(interaction_networks, "NETWORKS", flat)
    monkeypatch.setattr(interaction_networks, "TITLES", {2: "Pictures"})
    units = {}
    for place, one in enumerate(flat):
        units[f"{one.name} trained"] = {"steps": 7, "seconds": 5.5, "weights": 1000}
        tuned = [row(interaction_networks.TUNED, f"p{n}", 0.65) for n in range(3)] if place else []
        units[f"{one.name} measured"] = [row(OURS, f"p{n}", 0.7 + 0.01 * n - 0.1 * place) for n in range(6)] + tuned
    reported = driver.page(interaction_networks.BENCHMARK, {"machine": "a machine", "rows": units})
    assert "| P-Net | -0.100, 0.031 |" in reported and "Volumes" not in reported
    assert "3 tasks of 3 patients" in reported and "| P-Net, tuned | 0.650 |" in reported
    assert all(f"| {one.title} | 2 | 1,000 | 7 |" in reported for one in flat)
