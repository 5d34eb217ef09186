"""``casewise.toml`` in an archive's folder: its version, and where its catalogue and its files are."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from casewise.errors import ArchiveError

DESCRIPTION = "casewise.toml"


def description(folder: Path) -> dict[str, Any]:
    """What an archive's ``casewise.toml`` says. Raises ArchiveError where it cannot be read."""
    try:
        return tomllib.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        msg = f"{folder / DESCRIPTION} cannot be read ({type(error).__name__}); restore it from a copy."
        raise ArchiveError(msg) from error
