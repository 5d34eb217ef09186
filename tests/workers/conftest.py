"""Workers of each sort. Ray's start takes seconds: one Ray for all tests of this folder."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import pytest

from casewise.workers import Processes, Workers, chosen
from tests.programs import missing


@pytest.fixture(scope="session")
def on_ray() -> Iterator[Workers]:
    """Two actors on a Ray of this machine's own."""
    if importlib.util.find_spec("ray") is None:
        missing("Ray (the extra `ray`)")
    with chosen(2, "ray") as workers:
        yield workers


@pytest.fixture(params=["processes", "ray"])
def workers(request: pytest.FixtureRequest) -> Workers:
    """Two workers that are processes of their own."""
    found: Workers = Processes(2) if request.param == "processes" else request.getfixturevalue("on_ray")
    return found


@pytest.fixture(params=["processes", "ray"])
def limited(request: pytest.FixtureRequest) -> Iterator[Workers]:
    """As ``workers``, and an item may take two seconds."""
    if request.param == "processes":
        yield Processes(2, limit=2)
        return
    request.getfixturevalue("on_ray")  # its Ray
    with chosen(2, "ray", limit=2) as workers:
        yield workers
