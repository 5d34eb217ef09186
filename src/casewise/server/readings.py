"""What the newest result of each image comes to, kept beside the catalogue so that a worklist of any length is filtered at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from casewise.archive.catalogue import results
from casewise.finding import FINDING
from casewise.server.store import Store, reading_findings, readings

_AT_ONCE = 200


def follow(store: Store, joined: sa.Engine) -> None:
    """Take in the results that the catalogue has got since the last time."""
    while True:
        with joined.connect() as connection:
            last = connection.scalar(sa.select(sa.func.max(readings.c.result))) or 0
            new = sa.select(results.c.id, results.c.image_key, results.c.data)
            new = new.where(results.c.id > last, results.c.image_key.is_not(None)).order_by(results.c.id).limit(_AT_ONCE)
            rows = connection.execute(new).all()
        if not rows:
            return
        _keep(store, {row.image_key: (row.id, row.data) for row in rows})
        if len(rows) < _AT_ONCE:
            return


def findings_of(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Label, probability and region of a recorded result's findings, the most probable first; without those that another counts."""
    given = data.get("findings")
    found = (
        [one for one in given if isinstance(one, dict) and one.get("kind", FINDING) == FINDING] if isinstance(given, list) else []
    )
    lines: list[dict[str, Any]] = [
        {"label": str(one.get("label")), "probability": _number(one.get("probability")), "region": one.get("region")}
        for one in found
    ]
    whole = [one for one in lines if not _is_part(one["label"], {other["label"] for other in lines})]
    return sorted(whole, key=lambda one: -1.0 if one["probability"] is None else -1.0 - float(one["probability"]))


def _is_part(label: str, labels: Set[str]) -> bool:
    """Whether a finding is one of those that another one counts: ``lesion 2`` beside ``lesions``."""
    stem, _, number = label.rpartition(" ")
    return number.isdecimal() and bool({stem, f"{stem}s"} & labels)


def _keep(store: Store, newest: Mapping[str, tuple[int, Mapping[str, Any]]]) -> None:
    lines: list[dict[str, Any]] = []
    labels: list[dict[str, str]] = []
    for key, (number, data) in newest.items():
        found = findings_of(data)
        known = [one["probability"] for one in found if one["probability"] is not None]
        headline = str(data.get("headline") or "")
        lines.append({"image_key": key, "result": number, "headline": headline, "top": max(known, default=None), "findings": found})
        labels += [{"image_key": key, "label": label} for label in {one["label"] for one in found}]
    with store.write() as connection:
        statement = _insert(connection)(readings)
        changed = {name: statement.excluded[name] for name in ("result", "headline", "top", "findings")}
        later = statement.excluded.result >= readings.c.result
        connection.execute(statement.on_conflict_do_update(index_elements=["image_key"], set_=changed, where=later), lines)
        connection.execute(sa.delete(reading_findings).where(reading_findings.c.image_key.in_(list(newest))))
        if labels:
            connection.execute(_insert(connection)(reading_findings).on_conflict_do_nothing(), _sorted(labels))


def _sorted(labels: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    # In one order, so that two servers on one database never wait for each other in a circle.
    return sorted(labels, key=lambda one: (one["label"], one["image_key"]))


def _insert(connection: sa.Connection) -> Any:
    return postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
