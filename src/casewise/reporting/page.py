"""A page of HTML: the templates' environment, and how a page is written."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from casewise.files import output
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


def prepare() -> None:
    """Compile a report's templates, which takes longer than to fill them, while there is nothing else to do."""
    for name in ("report.html", "page.html", "report.css", "panel.html", "cases.html", "rows.html", "segments.html"):
        environment().get_template(name)


def write_page(path: Path, page: str) -> Path:
    """Write a page at once or not at all. Raises CasewiseError for a folder that cannot be written to."""
    with output(path, "The report") as beside:
        beside.write_text(legible(page), encoding="utf-8")
    return path
