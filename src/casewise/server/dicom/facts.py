"""What the network knows of images, for rules: who sent a series, and to whom; and how soon it is to be analysed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import sqlalchemy as sa

from casewise.applications.conditions import facts_of_file
from casewise.applications.of_archive import registry_of
from casewise.applications.rules import needed, priority_before
from casewise.errors import CasewiseError
from casewise.server.network_tables import arrivals
from casewise.server.store import Store


def sender_of(store: Store, series: str | None) -> dict[str, str | None]:
    """``calling_ae`` and ``called_ae`` of a received series by its UID; empty of one that did not come by the network."""
    if series is None:
        return {}
    query = sa.select(arrivals.c.calling_ae, arrivals.c.called_ae).where(arrivals.c.series_uid == series)
    with store.read() as connection:
        row = connection.execute(query).one_or_none()
    return {} if row is None else {"calling_ae": row.calling_ae or None, "called_ae": row.called_ae or None}


def priority_of(folder: Path, file: Path, known: Mapping[str, str | None]) -> int | None:
    """The priority that rules give the analysis of a received series before it is known what kind it is; None where none says.

    folder : the archive's. file : one of the series. known : ``site``, ``calling_ae``, ``called_ae``. Rules that ask for the
    category are not asked yet. Files that cannot be used give no priority: the analysis will say why.
    """
    try:
        rules = registry_of(folder).rules
        if all(rule.priority is None for rule in rules):
            return None
        return priority_before(rules, facts_of_file(file, needed(rules), **known))
    except CasewiseError:
        return None
