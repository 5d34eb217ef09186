"""The container's files say what is there: real commands, files that exist, the page's build as the Makefile's, and no secret."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.command_lines import check_complete

ROOT = Path(__file__).resolve().parents[1]
STEPS = [
    line.strip()
    for line in (ROOT / "Containerfile").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    if line.strip() and not line.startswith("#")
]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
OURS = [name for name, service in COMPOSE["services"].items() if service["image"] == "casewise"]


def test_what_is_copied_is_there_and_is_not_ignored() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for step in STEPS:
        if step.startswith("COPY ") and "--from" not in step:
            for name in step.split()[1:-1]:
                assert (ROOT / name).exists(), step
                assert f"!{name.partition('/')[0]}" in ignored, step


def test_the_page_is_built_as_in_a_checkout() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    recipes = re.findall(r"^\t\$\(BIN\)/(python -.*(?:npm\(\)|vite).* web\b.*)$", makefile, re.MULTILINE)
    assert len(recipes) == 2
    assert all(f"RUN {recipe}" in STEPS for recipe in recipes)


def test_the_image_runs_as_nobody_in_particular() -> None:
    last = STEPS[max(number for number, step in enumerate(STEPS) if step.startswith("FROM ")) :]
    users = [step.split()[1] for step in last if step.startswith("USER ")]
    assert users
    assert users[-1] not in ("0", "root")


@pytest.mark.parametrize("name", OURS)
def test_services_run_commands_that_exist(name: str) -> None:
    check_complete(COMPOSE["services"][name]["command"])


@pytest.mark.parametrize("name", OURS)
def test_services_write_to_their_archive_alone(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["read_only"] is True
    assert service["tmpfs"] == ["/tmp"]
    assert service["cap_drop"] == ["ALL"]
    assert [volume.rpartition(":")[2] for volume in service["volumes"]] == ["/archive"]


def test_the_worker_reaches_nothing_outside() -> None:
    assert COMPOSE["services"]["worker"]["networks"] == ["back"]
    assert COMPOSE["networks"]["back"]["internal"] is True
    assert "ports" not in COMPOSE["services"]["database"]


def test_the_proxy_is_the_gateway_of_the_servers_network() -> None:
    command = COMPOSE["services"]["server"]["command"]
    gateway = COMPOSE["networks"]["front"]["ipam"]["config"][0]["gateway"]
    assert command[command.index("--behind-proxy") + 1] == gateway


def test_no_secret_is_in_the_files() -> None:
    for service in COMPOSE["services"].values():
        for name, value in service["environment"].items():
            if re.search("PASSWORD|SECRET|TOKEN|KEY", name):
                assert re.fullmatch(r"\$\{[A-Z_]+:-\}", value), name
