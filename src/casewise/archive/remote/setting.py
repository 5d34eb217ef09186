"""Where an archive's files lie in object storage, and where on this machine copies of objects are kept."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

from casewise.archive.description import DESCRIPTION, description
from casewise.archive.remote.address import Address
from casewise.archive.remote.cache import Cache
from casewise.errors import ArchiveError, UsageError
from casewise.formats.limits import bytes_in

FOLDER_SETTING, BYTES_SETTING = "CASEWISE_CACHE", "CASEWISE_CACHE_BYTES"
_FOLDER, _BYTES = "cache", 20 << 30
_KEY = "storage"


@dataclass(frozen=True)
class Remote:
    """cache : of objects. place : below which the archive's own files are; None where they lie in its folder."""

    cache: Cache
    place: Address | None


def remote_of(folder: Path) -> Remote:
    """What is set for the archive of a folder. Raises ArchiveError, CasewiseError for settings that cannot be used."""
    try:
        about = (folder / DESCRIPTION).stat()
    except OSError:
        return _remote(folder, None, *_machine())
    return _remote(folder, (about.st_mtime_ns, about.st_size, about.st_ino), *_machine())


def described(place: Address | None) -> dict[str, object]:
    """What the description of a new archive says of its storage."""
    return {} if place is None else {_KEY: str(place)}


def _machine() -> tuple[str, int, str]:
    """Folder and size of the cache as this machine's variables say, and a name of the storage that they name."""
    server = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or "s3"
    name = re.sub(r"[^A-Za-z0-9-]", "-", urlsplit(server).netloc.rpartition("@")[2] or server)
    return os.environ.get(FOLDER_SETTING, ""), bytes_in(BYTES_SETTING, _BYTES), name


@lru_cache(maxsize=64)
def _remote(folder: Path, mark: tuple[int, ...] | None, cache: str, limit: int, server: str) -> Remote:
    given = description(folder).get(_KEY) if mark is not None else None
    try:
        place = None if given is None else Address.parse(str(given))
    except UsageError as error:
        raise ArchiveError(f"{folder / DESCRIPTION}: {_KEY}: {error}") from error
    home = Path(os.path.abspath(cache or folder / _FOLDER))  # noqa: PTH100 - by name alone, as an import names files
    return Remote(Cache(home, limit, server), place)
