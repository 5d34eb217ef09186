"""The applications and rules of an archive's images, for the server and for a call that analyses all of them: those of
CASEWISE_APPLICATIONS, and of ``applications.toml`` in the archive's folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from casewise.applications.registry import Registry, default_registry, named_files
from casewise.errors import UsageError
from casewise.exchange.settings import FILE as DICOM_FILE
from casewise.exchange.settings import DicomSettings

FILE = "applications.toml"


def declared_files(folder: Path, named: Sequence[Path] | None = None) -> list[Path]:
    """``folder`` : the archive's. Its own file comes last, so that its rules win. named : in place of CASEWISE_APPLICATIONS."""
    named = named_files() if named is None else named
    own = folder / FILE
    return [*named, own] if own.exists() and own.resolve() not in [path.resolve() for path in named] else list(named)


def registry_of(folder: Path, named: Sequence[Path] | None = None) -> Registry:
    """Of the files of :func:`declared_files`.

    Raises UsageError, one sentence, for a mistake in one of the files, and for a rule that sends to an unknown system.
    """
    registry = default_registry(declared_files(folder, named))
    if not any(rule.send for rule in registry.rules):
        return registry
    settings = DicomSettings.load(folder)
    for rule in registry.rules:
        for target in rule.send or ():
            if target not in settings.systems:  # results go nowhere else, whoever says so
                there = ", ".join(settings.systems) or "none yet"
                raise UsageError(f"{rule.origin}: send = {target!r} is no system of {DICOM_FILE} ({there}); name it there.")
    return registry


def stamp(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """Changes when one of the files does, comes or goes."""
    return tuple(_stamp(path) for path in (*declared_files(folder), folder / DICOM_FILE))


def _stamp(path: Path) -> tuple[str, int, int]:
    try:
        about = path.stat()
    except OSError:
        return str(path), 0, 0
    return str(path), about.st_mtime_ns, about.st_size
