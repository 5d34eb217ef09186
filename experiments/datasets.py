"""The public data sets on disk: where they lie, whether they are complete, and where to get what is missing.

``benchmarks/datasets.toml`` describes each set. ``python -m experiments.datasets`` checks the content of every file.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from casewise.errors import CasewiseError

REPOSITORY = Path(__file__).resolve().parents[1]
LIST = REPOSITORY / "benchmarks" / "datasets.toml"
VARIABLE = "CASEWISE_SHARED_DATA"


class DatasetError(CasewiseError):
    """A data set is not there, or not all of it."""


def root() -> Path:
    """The folder of all data sets: ``CASEWISE_SHARED_DATA``, else ``shared/data`` beside the checkout."""
    return Path(os.environ.get(VARIABLE, REPOSITORY.parent / "shared" / "data"))


def path(name: str) -> Path:
    """``name`` below the root (its first part is the set), the set being complete. Raises DatasetError with where to get it."""
    place = root()
    _check(place, Path(name).parts[0])
    return place / name


def files(pattern: str) -> list[Path]:
    """What a pattern below the root finds, sorted; its first part is the set."""
    place = root()
    _check(place, Path(pattern).parts[0])
    return sorted(place.glob(pattern))


def name_of(found: Path) -> str:
    """A path as it is called below the root."""
    return found.relative_to(root()).as_posix()


@cache
def listed() -> dict[str, dict[str, Any]]:
    """Every set by its folder, as ``datasets.toml`` describes it."""
    return tomllib.loads(LIST.read_text(encoding="utf-8"))


@cache
def _check(place: Path, name: str) -> None:
    known = listed()
    if name not in known:
        raise DatasetError(f"{LIST.name} has no data set {name!r}; it has {', '.join(known)}.")
    about, folder = known[name], place / name
    for pattern, count in about["files"].items():
        if (found := sum(1 for _ in folder.glob(pattern))) < count:
            where = about.get("copy") or "the repositories that it names"
            raise DatasetError(
                f"{folder / pattern}: got {found} of {count} files of {about['title']}; get them from {where} ({about['get']}; "
                f"names: benchmarks/datasets.files.txt), or set {VARIABLE} to the folder that holds {name}."
            )


def digest(name: str) -> str:
    """Of the names and the content of a set's files."""
    folder = path(name)
    found = {one for pattern in listed()[name]["files"] for one in folder.glob(pattern) if one.is_file()}
    lines = sorted(f"{hashlib.sha256(one.read_bytes()).hexdigest()}  {one.relative_to(folder).as_posix()}\n" for one in found)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", nargs="*", metavar="SET", help="only these")
    chosen, wrong = parser.parse_args().sets or list(listed()), 0
    for name in chosen:
        try:
            same = digest(name) == listed()[name]["sha256"]
            state = (
                "complete" if same else "complete, but not the files that the figures were measured on (names or content differ)"
            )
        except DatasetError as error:
            same, state = False, str(error)
        wrong += not same
        sys.stdout.write(f"{name}: {state}\n")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
