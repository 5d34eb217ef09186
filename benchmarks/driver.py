"""One command for all benchmarks: ``python -m benchmarks NAME``, or ``python -m benchmarks.NAME``.

A benchmark has units. Each gives rows, where it can one a patient, and is kept below ``.work``: a stopped run goes on. The rows of
all units are written to ``results/NAME.json``, and the page ``results/NAME.md`` is made of them alone: its prose is the template
``pages/NAME.md.j2``, its tables and figures come from the benchmark. ``--from-rows`` makes the page again without measuring.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import torch

from casewise.errors import CasewiseError
from experiments import datasets, store

RESULTS = Path(__file__).parent / "results"
PAGES = Path(__file__).parent / "pages"
Rows = Mapping[str, Any]  # unit → what it gave


@dataclass(frozen=True)
class Unit:
    """A part of a benchmark that is measured at once. ``make`` gives JSON: a list of rows, or a mapping. key : what it depends on
    beside the name, such as a model: with another key it is measured again.
    """

    name: str
    make: Callable[[], Any]
    key: str = ""


@dataclass(frozen=True)
class Benchmark:
    """name : of page, rows and template. about : the text of ``--help``.

    units : what is to be measured, by the command line's options. figures : the template's slots, from the rows. options : adds a
    benchmark's own. published : whether options are those of the page; else it is printed and not kept. after : what else is made
    of the rows. threads : torch's; one for processor seconds and for sums in one order, None for all.
    """

    name: str
    about: str | None
    units: Callable[[argparse.Namespace], Iterable[Unit]]
    figures: Callable[[Rows], Mapping[str, Any]]
    options: Callable[[argparse.ArgumentParser], object] = lambda parser: None
    published: Callable[[argparse.Namespace], bool] = lambda options: True
    after: Callable[[Rows], object] = lambda rows: None
    threads: int | None = 1


def run(benchmark: Benchmark, arguments: Sequence[str] | None = None) -> int:
    """Measure what is missing and write rows and page; the exit code."""
    parser = _parser(benchmark)
    options = parser.parse_args(arguments)
    if options.data:
        os.environ[datasets.VARIABLE] = str(options.data)
    try:
        if options.from_rows:
            document = read(benchmark.name)
        else:
            document, missing = _measured(benchmark, options)
            if missing:
                sys.stderr.write(f"Not measured yet: {', '.join(missing)}. Run it again to go on; no page is written.\n")
                return 1
    except CasewiseError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    text = page(benchmark, document)
    if options.from_rows or benchmark.published(options):
        if not options.from_rows:
            write(benchmark.name, document)
        (RESULTS / f"{benchmark.name}.md").write_text(text, encoding="utf-8")
        benchmark.after(document["rows"])
    sys.stdout.write(text)
    return 0


def page(benchmark: Benchmark, document: Mapping[str, Any]) -> str:
    """The page of a benchmark's rows."""
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True, autoescape=False)
    template = environment.from_string((PAGES / f"{benchmark.name}.md.j2").read_text(encoding="utf-8"))
    return template.render(machine=document["machine"], **benchmark.figures(document["rows"]))


def read(name: str) -> dict[str, Any]:
    """``machine`` and ``rows`` by unit, as ``results/NAME.json`` has them. Raises CasewiseError where rows were never kept."""
    path = RESULTS / f"{name}.json"
    document = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if not isinstance(document, dict) or "rows" not in document:
        raise CasewiseError(
            f"{path} holds no rows: the page was measured before they were kept. Run `python -m benchmarks.{name}`."
        )
    return document


def write(name: str, document: Mapping[str, Any]) -> None:
    """``results/NAME.json``, one row a line."""
    units = []
    for unit, rows in document["rows"].items():
        line = json.dumps(rows, ensure_ascii=False) if not isinstance(rows, list) else _lines(rows)
        units.append(f"{json.dumps(unit, ensure_ascii=False)}: {line}")
    text = f'{{"machine": {json.dumps(document["machine"])},\n"rows": {{\n' + ",\n".join(units) + "\n}}\n"
    (RESULTS / f"{name}.json").write_text(text, encoding="utf-8")


def machine() -> str:
    """What a run's times depend on."""
    cores, python = f"{os.cpu_count()} cores, {platform.machine()}, {_processor()}", f"Python {platform.python_version()}"
    return f"{cores}, {python}, torch {torch.__version__}; no GPU"


def _lines(rows: Sequence[Any]) -> str:
    return "[\n" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n]" if rows else "[]"


def _parser(benchmark: Benchmark) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        f"python -m benchmarks.{benchmark.name}", description=benchmark.about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--from-rows", action="store_true", help="make the page again from the rows that are kept")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no unit after so many")
    parser.add_argument("--only", nargs="+", metavar="UNIT", help="measure these units alone")
    parser.add_argument("--data", type=Path, help=f"folder of the data sets (else {datasets.VARIABLE})")
    benchmark.options(parser)
    return parser


def _measured(benchmark: Benchmark, options: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    """(the document, the names of units that are not measured)."""
    if benchmark.threads:
        torch.set_num_threads(benchmark.threads)
    began, rows, missing = time.perf_counter(), {}, []
    for unit in benchmark.units(options):
        kept = store.WORK / benchmark.name / "units" / f"{unit.name.replace('/', '_')} {unit.key[:12]}".strip()
        kept = kept.with_name(f"{kept.name}.json")
        late = time.perf_counter() - began > options.seconds or (options.only and unit.name not in options.only)
        if late and not kept.exists():
            missing.append(unit.name)
            continue
        rows[unit.name] = store.rows(kept, unit.make)
        sys.stderr.write(f"{unit.name}: {time.perf_counter() - began:.0f} s\n")
    return {"machine": machine(), "rows": rows}, missing


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown processor"
