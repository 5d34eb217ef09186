"""``python -m benchmarks NAME``: one benchmark; without a name, which there are."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from benchmarks import driver

NAMES = sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py") if "BENCHMARK = " in path.read_text(encoding="utf-8"))

if __name__ == "__main__":
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in NAMES:
        sys.exit(f"python -m benchmarks NAME: got {name or 'no name'}; there are {', '.join(NAMES)}. Each has --help.")
    sys.exit(driver.run(importlib.import_module(f"benchmarks.{name}").BENCHMARK, sys.argv[2:]))
