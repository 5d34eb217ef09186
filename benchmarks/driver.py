"""What benchmarks made of long units have in common: each unit is kept when it is done, and a second call goes on."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, TypeVar


class Unit(Protocol):
    @property
    def name(self) -> str: ...


U = TypeVar("U", bound=Unit)


def run_units(
    about: str | None, work: str, units: Sequence[U], run: Callable[[U, Path], object], write: Callable[[Path, Path], object]
) -> None:
    """Run the units that ``work`` lacks, by the options of the command line, then ``write(work, results)`` the table."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--work", type=Path, default=Path(work))
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no unit after so many")
    parser.add_argument("--report", action="store_true", help="only write the table from what is there")
    options = parser.parse_args()
    began = time.perf_counter()
    for unit in units if not options.report else ():
        if time.perf_counter() - began > options.seconds:
            return
        run(unit, options.work)
        sys.stderr.write(f"{unit.name}: {time.perf_counter() - began:.0f} s\n")
        sys.stderr.flush()
    write(options.work, Path("benchmarks/results"))
