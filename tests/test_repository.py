"""What the repository says is true: documented commands exist, links lead somewhere, what CI installs is pinned."""

from __future__ import annotations

import ast
import importlib
import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.command_lines import check_complete, check_mention, code_blocks, command_of, mentions, whole_lines

ROOT = Path(__file__).resolve().parents[1]
FILES = [
    ROOT / name
    for name in subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    if (ROOT / name).is_file()
]
PAGES = [path for path in FILES if path.suffix == ".md"]
HELP = [
    ["demo"],
    ["import"],
    ["archive"],
    ["evaluate"],
    ["train"],
    ["train", "segmenter"],
    ["train", "classifier"],
    ["train", "router"],
    ["train", "lesions"],
    ["train", "sites"],
    ["similar"],
    ["subsets"],
    ["route"],
    ["analyze"],
    ["segment"],
    ["users"],
    ["audit"],
]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_documented_command_lines_are_accepted(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for block in code_blocks(text, "sh", "console", "bash"):
        for words in whole_lines(block):
            check_complete(words)
    for words in mentions(text):
        check_mention(words)


@pytest.mark.parametrize("command", [[], *HELP, ["models"]], ids=lambda words: "-".join(words) or "casewise")
def test_examples_in_help_are_accepted(command: list[str]) -> None:
    help_text = command_of(command)[0].help
    examples = whole_lines(help_text)
    assert examples
    for words in examples:
        check_complete(words)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_python_in_the_documents_imports_what_exists(page: Path) -> None:
    for block in code_blocks(page.read_text(encoding="utf-8"), "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("casewise"):
                module = importlib.import_module(node.module or "")
                assert all(hasattr(module, alias.name) for alias in node.names), ast.unparse(node)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, heading = target.partition("#")
        path = (page.parent / file).resolve() if file else page
        assert path.exists(), f"{name_of(page)} links to {target}"
        if heading:
            headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", found.lower()).replace(" ", "-") for found in headings}
            assert heading in slugs, f"{name_of(page)} links to {target}"


@pytest.mark.parametrize("command", [[], *HELP, ["models"]], ids=lambda words: "-".join(words) or "casewise")
def test_help_names_documents_that_exist(command: list[str]) -> None:
    for page in re.findall(r"docs/[\w/.-]+\.md", command_of(command)[0].help):
        assert (ROOT / page).is_file()


def test_nothing_names_the_machine_it_was_written_on() -> None:
    forbidden = re.compile(rb"/work/main|/work/shared|/farm/|/root/|/tmp/bash_jobs")
    beside = re.compile(rb"\.\./shared")
    for path in FILES:
        if path == Path(__file__):
            continue
        data = path.read_bytes()
        assert not forbidden.search(data), name_of(path)
        if path.relative_to(ROOT).parts[0] not in {"tests", "benchmarks", "recipes", "experiments"}:
            assert not beside.search(data), name_of(path)


def test_files_stay_small() -> None:
    weights = [path for path in FILES if path.suffix == ".safetensors"]
    assert max(path.stat().st_size for path in weights) < 10_000_000
    assert sum(path.stat().st_size for path in weights) < 60_000_000
    for path in FILES:
        assert path.suffix == ".safetensors" or path.stat().st_size < 4 << 20, name_of(path)
        if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in {"src", "benchmarks", "recipes"}:
            assert len(path.read_text(encoding="utf-8").splitlines()) <= 400, name_of(path)


def test_every_direct_dependency_is_pinned_within_its_range() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [wanted for group in project["optional-dependencies"].values() for wanted in group]
    pins = {}
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            name, _, version = line.partition("==")
            pins[canonicalize_name(name)] = version
    wanted = {canonicalize_name(r.name): r for r in map(Requirement, [*project["dependencies"], *extras])}
    assert set(pins) == set(wanted)
    for name, requirement in wanted.items():
        assert requirement.specifier.contains(pins[name]), requirement


def test_ci_runs_the_command_that_the_readme_names() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert "make test" in script.read_text(encoding="utf-8")
    assert "make test" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_no_tests_name_depends_on_the_moment() -> None:
    """The tests' processes collect them one by one, and must find the same names."""
    changing = {
        "time",
        "time_ns",
        "monotonic",
        "perf_counter",
        "now",
        "today",
        "uuid1",
        "uuid4",
        "generate_uid",
        "token_hex",
        "getpid",
    }
    for path in FILES:
        if path.suffix != ".py" or path.relative_to(ROOT).parts[0] != "tests":
            continue
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for decorator in getattr(function, "decorator_list", ()):
                if not ast.unparse(decorator).startswith("pytest.mark.parametrize"):
                    continue
                calls = [node.func for node in ast.walk(decorator) if isinstance(node, ast.Call)]
                named = {call.attr if isinstance(call, ast.Attribute) else getattr(call, "id", "") for call in calls}
                assert not named & changing, f"{name_of(path)}: {ast.unparse(decorator)[:200]}"
