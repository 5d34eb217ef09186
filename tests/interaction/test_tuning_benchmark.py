"""What the pages of fine-tuning and of a round's time say of their rows."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks import driver, interaction_speed, interaction_tuning
from benchmarks.interaction_tuning import ALONE, HEAD, SUPERVISED, UNSUPERVISED, UNWEIGHTED, claims, segmented, verdict
from casewise.interaction import FineTuning
from casewise.models import Model
from experiments.interaction.tasks import Task
from tests.interaction.conftest import disc_picture


def rows(method: str, box: float, after: float, accepted: bool = False) -> list[dict[str, Any]]:
    about = {"group": "heart", "structure": "wall", "method": method, "accepted": [accepted] * 3, "seconds": [0.1] * 3}
    return [
        about | {"task": f"t{n}", "patient": f"p{n}", "seed": seed, "dice": [box + 0.002 * n, after + 0.002 * n, after, after]}
        for n in range(8)
        for seed in range(2)
    ]


def test_a_claim_is_confirmed_refuted_or_not_shown_by_the_rows() -> None:
    made = rows(ALONE, 0.5, 0.7) + rows(SUPERVISED, 0.5, 0.8) + rows(UNSUPERVISED, 0.4, 0.7) + rows(UNWEIGHTED, 0.5, 0.8)
    unsupervised, supervised, weights = claims(made)
    assert "**refuted**" in unsupervised and "Dice 0.407 and 0.507 after the box, 8 patients, p 0.0078" in unsupervised
    assert "**confirmed**" in supervised and "Dice 0.807 and 0.707" in supervised
    assert "**not shown**" in weights
    assert (
        verdict([row for row in made if row["patient"] in ("p1", "p2")], SUPERVISED, ALONE, 1) == "not measured on five patients."
    )


def test_the_page_tells_what_was_accepted_and_the_dice_there() -> None:
    head = rows(HEAD, 0.5, 0.9, accepted=True)
    for row in head[4:]:
        row |= {"accepted": [False] * 3, "dice": [0.5, 0.6, 0.6, 0.6]}
    page = driver.page(interaction_tuning.BENCHMARK, {"machine": "a machine", "rows": {"heart": rows(ALONE, 0.5, 0.7) + head}})
    line = next(line for line in page.splitlines() if line.startswith(f"| {HEAD} |")).split(" | ")
    assert line[8:12] == ["75.0%", "25%", "0.901", "0.701"]
    alone = next(line for line in page.splitlines() if line.startswith(f"| {ALONE} |")).split(" | ")
    assert alone[5:12] == ["–"] * 7 and "8 tasks of 8 patients, 2 draws" in page


@pytest.mark.parametrize("how", [FineTuning(supervised=False), FineTuning(acceptance=False)])
def test_a_row_has_every_step_and_says_whether_it_was_tuned(how: FineTuning, model: Model) -> None:
    image, truth = disc_picture()
    truth[:40] = False
    found = segmented(model, Task("a part of a disc", "heart", "disc", "p", image, truth), how, 0)
    assert len(found["dice"]) == 4 and len(found["accepted"]) == len(found["seconds"]) == 3
    assert found["accepted"][0] is how.supervised


def test_a_bound_of_a_rounds_time_is_on_the_clock() -> None:
    def timed(clock: float, processor: float) -> dict[str, list[list[float]]]:
        return {"first": [[clock, processor]] * 3, "round": [[clock, processor]] * 9}

    units: dict[str, Any] = {kind.what: timed(0.1, 0.9) for kind in interaction_speed.KINDS}
    units["memory"] = {"beyond": 40.0, "volume": 150.0, "voxels": 3, "seconds": 8.0, "processor": 15.0}
    page = driver.page(interaction_speed.BENCHMARK, {"machine": "a machine", "rows": units})
    assert page.count("| yes |") == len(interaction_speed.KINDS) and page.count("| 0.10 | 0.10 | 0.90 |") == len(
        interaction_speed.KINDS
    )
    units[interaction_speed.KINDS[0].what] = timed(0.16, 0.01)
    page = driver.page(interaction_speed.BENCHMARK, {"machine": "a machine", "rows": units})
    assert page.count("| no |") == 1 and "0.15, 0.6, 1 | no |" in page
