"""A server and its workers killed at random: no job is lost, none is done twice, and poison ends with its reason."""

from __future__ import annotations

from pathlib import Path

from benchmarks._serve_kills import run


def test_jobs_survive_kills_of_the_server_and_its_workers(archive_folder: Path) -> None:
    outcome = run(archive_folder, jobs=24, poison=1, seed=1, tries_a_kill=8)
    assert (outcome.lost, outcome.twice, outcome.wrong) == ([], [], [])
    assert set(outcome.states) == {"done", "dead"} and outcome.states["dead"] == 1 and outcome.states["done"] >= 23
    assert len(outcome.reasons) == 1 and "died 3 times" in outcome.reasons[0]
    assert sum(outcome.kills.values()) >= 3 and outcome.tries >= 26
