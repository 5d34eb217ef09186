"""Benchmarks, recipes and what they share: all of it imports, in one direction only, and says which data set is missing."""

from __future__ import annotations

import ast
import hashlib
import importlib
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import __main__ as benchmarks
from benchmarks import driver
from casewise.errors import CasewiseError
from casewise.models import Model, shipped
from experiments import datasets, store
from recipes._common import MEASURED, sections, with_card

ROOT = Path(__file__).resolve().parents[1]
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path
    for folder in ("benchmarks", "experiments", "recipes")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if not path.name.startswith("__")
}
UNDER = {"benchmarks": {"recipes"}, "recipes": {"benchmarks"}, "experiments": {"benchmarks", "recipes"}}


@pytest.mark.parametrize("name", MODULES)
def test_it_imports(name: str) -> None:
    importlib.import_module(name)


@pytest.mark.parametrize("name", MODULES)
def test_it_imports_nothing_that_stands_beside_or_above_it(name: str) -> None:
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        imported = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        imported += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        assert not {one.split(".")[0] for one in imported} & UNDER[name.split(".")[0]]


@pytest.mark.parametrize("name", MODULES)
def test_it_has_at_most_400_lines(name: str) -> None:
    assert len(MODULES[name].read_text(encoding="utf-8").splitlines()) <= 400


RECIPES = sorted(path.stem for path in (ROOT / "recipes").glob("[a-z]*.py") if "RECIPE = " in path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(f"recipes.{name}").RECIPE.run(["--help"])
    reported = capsys.readouterr().out
    assert ended.value.code == 0 and "--output" in reported and "--data" in reported


@pytest.mark.parametrize("name", [name for name in shipped.names() if name != "router"])
def test_a_recipe_keeps_what_people_wrote_on_a_card(name: str, tmp_path: Path) -> None:
    card = (shipped.FOLDER / name / "card.md").read_text(encoding="utf-8")
    model = Model.load(shipped.FOLDER / name)
    table = sections(card)[MEASURED]
    with_card(name, model.save, tmp_path, {MEASURED: table} if table.startswith("|") else {})
    assert (tmp_path / name / "card.md").read_text(encoding="utf-8") == card
    other = replace(model, lineage=model.lineage.measured(new=0.5))
    with_card(name, other.save, tmp_path, {MEASURED: "| new table |"})
    again = sections((tmp_path / name / "card.md").read_text(encoding="utf-8"))
    assert again[MEASURED] == "| new table |"
    assert {key: text for key, text in again.items() if key != MEASURED} == {
        key: text for key, text in sections(card).items() if key != MEASURED
    }


@pytest.fixture
def sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(datasets.VARIABLE, str(tmp_path))
    about = {"title": "Two films", "copy": "https://example.org, commit 1", "get": "copy them", "files": {"images/*.png": 2}}
    monkeypatch.setattr(datasets, "listed", lambda: {"two": about})
    datasets._check.cache_clear()
    (tmp_path / "two" / "images").mkdir(parents=True)
    return tmp_path


def test_a_missing_data_set_is_one_sentence_that_says_where_to_get_it(sets: Path) -> None:
    (sets / "two" / "images" / "b.png").write_bytes(b"b")
    with pytest.raises(CasewiseError, match=r"got 1 of 2 files of Two films; .*example.org.*copy them") as raised:
        datasets.files("two/images/*.png")
    assert datasets.VARIABLE in str(raised.value) and "\n" not in str(raised.value)
    with pytest.raises(CasewiseError, match="no data set 'three'; it has two"):
        datasets.path("three")


def test_a_complete_data_set_is_found_in_order_and_digested(sets: Path) -> None:
    for name in ("b", "a"):
        (sets / "two" / "images" / f"{name}.png").write_bytes(name.encode())
    found = datasets.files("two/images/*.png")
    assert [datasets.name_of(path) for path in found] == ["two/images/a.png", "two/images/b.png"]
    assert datasets.path("two/images/a.png") == found[0]
    lines = sorted(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  images/{path.name}\n" for path in found)
    assert datasets.digest("two") == hashlib.sha256("".join(lines).encode()).hexdigest()


@pytest.mark.shared
def test_the_data_sets_at_hand_are_those_of_the_list(shared_data: Path) -> None:
    for name, about in datasets.listed().items():
        assert (shared_data / name).is_dir() and about["licence"] and about["get"]
    names = (ROOT / "benchmarks" / "datasets.files.txt").read_text(encoding="utf-8").splitlines()
    assert names and all((shared_data / name).is_file() for name in names)


@pytest.mark.parametrize("name", benchmarks.NAMES)
def test_a_benchmark_has_help_a_template_and_a_page(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    benchmark = importlib.import_module(f"benchmarks.{name}").BENCHMARK
    with pytest.raises(SystemExit) as ended:
        driver.run(benchmark, ["--help"])
    assert ended.value.code == 0 and "--from-rows" in capsys.readouterr().out
    assert benchmark.name == name and (driver.PAGES / f"{name}.md.j2").is_file() and (driver.RESULTS / f"{name}.md").is_file()


@pytest.mark.parametrize("name", benchmarks.NAMES)
def test_a_page_is_made_of_its_rows(name: str) -> None:
    benchmark = importlib.import_module(f"benchmarks.{name}").BENCHMARK
    try:
        document = driver.read(name)
    except CasewiseError as error:
        assert name in NEVER_KEPT and f"python -m benchmarks.{name}" in str(error)
        return
    assert name not in NEVER_KEPT
    assert driver.page(benchmark, document) == (driver.RESULTS / f"{name}.md").read_text(encoding="utf-8")


# Measured before rows were kept; a rerun keeps them, and the name then goes from here.
NEVER_KEPT = {
    "abnormality",
    "analyze_many",
    "interaction_networks",
    "lesions",
    "similar_cases",
    "sites",
    "speed",
}


def toy(counts: dict[str, int]) -> driver.Benchmark:
    def units(options: object) -> list[driver.Unit]:
        return [driver.Unit(name, lambda name=name: measured(name)) for name in ("one", "two/three")]

    def measured(name: str) -> list[dict[str, int]]:
        counts[name] = counts.get(name, 0) + 1
        return [{"patient": 1, "dice": len(name)}]

    return driver.Benchmark("toy", "A toy.", units, lambda rows: {"n": sum(len(of) for of in rows.values())})


def test_a_benchmark_goes_on_where_it_was_stopped_and_remakes_its_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for where, name in ((store, "WORK"), (driver, "RESULTS"), (driver, "PAGES")):
        monkeypatch.setattr(where, name, tmp_path)
    (tmp_path / "toy.md.j2").write_text("{{ machine }}: {{ n }} rows\n", encoding="utf-8")
    counts: dict[str, int] = {}
    assert driver.run(toy(counts), ["--only", "one"]) == 1
    assert "Not measured yet: two/three" in capsys.readouterr().err and not (tmp_path / "toy.md").exists()
    assert driver.run(toy(counts), []) == 0
    assert counts == {"one": 1, "two/three": 1}
    text = (tmp_path / "toy.md").read_text(encoding="utf-8")
    assert text.endswith(": 2 rows\n") and text == capsys.readouterr().out
    (tmp_path / "toy.md").unlink()
    assert driver.run(toy(counts), ["--from-rows"]) == 0
    assert (tmp_path / "toy.md").read_text(encoding="utf-8") == text and counts["one"] == 1
