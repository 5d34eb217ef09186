"""Which images a person means who types a key or the name of a file."""

from __future__ import annotations

from pathlib import PurePath

import sqlalchemy as sa

from casewise.archive.catalogue import Catalogue, images
from casewise.archive.loading import Record, record_of
from casewise.archive.suffixes import suffix


def named(catalogue: Catalogue, text: str) -> list[Record]:
    """The image of the key ``text``; else those whose file is called so, with or without its suffix."""
    name = images.c.name
    called = (name == text) | name.startswith(f"{text}.", autoescape=True)
    called |= name.endswith(f"/{text}", autoescape=True) | name.contains(f"/{text}.", autoescape=True)
    with catalogue.read() as connection:
        row = connection.execute(sa.select(images).where(images.c.key == text)).first()
        rows = [row] if row is not None else connection.execute(sa.select(images).where(called).order_by(images.c.id)).all()
    return [record_of(row) for row in rows if row.key == text or text in _names(row.name)]


def _names(name: str) -> tuple[str, str]:
    last = PurePath(name).name
    return last, last[: len(last) - len(suffix(last))]
