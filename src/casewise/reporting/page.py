"""A page of HTML: the templates' environment, and how a page is written."""

from __future__ import annotations

import base64
import hashlib
import uuid
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from casewise.errors import CasewiseError
from casewise.files import claim, wrote
from casewise.names import legible

if TYPE_CHECKING:
    from jinja2 import Environment


@cache
def environment() -> Environment:
    """The templates, with the version, the pages' script and its hash for the content security policy."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    from casewise import __version__

    environment = Environment(
        loader=PackageLoader("casewise.reporting", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    source, _, _ = environment.loader.get_source(environment, "report.js") if environment.loader else ("", None, None)
    script = source.strip()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment.globals.update(version=__version__, script=Markup(script), script_hash=digest)  # noqa: S704
    return environment


def write_page(path: Path, page: str) -> Path:
    """Write a page at once or not at all. Raises CasewiseError for a folder that cannot be written to."""
    claim(path)
    beside = path.with_name(f".{uuid.uuid4().hex}.part")  # the name itself may be as long as a name can be
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(legible(page), encoding="utf-8")
        beside.replace(path)
        wrote(path)
    except OSError as error:
        with suppress(OSError):
            beside.unlink()
        msg = f"The report {path} cannot be written ({error.strerror}); give a folder that is writable and has room."
        raise CasewiseError(msg) from error
    return path
