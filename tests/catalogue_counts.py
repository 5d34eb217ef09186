"""How much of a catalogue is made into Python's values: what must not grow with the archive."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from casewise.archive import loading
from casewise.archive.catalogue import Text
from casewise.archive.columns import Json
from casewise.archive.retrieval.image_columns import ImageColumns


def counted(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts, for archives opened from now on: ``json`` and ``text`` values read, ``cases`` made, and ``snapshots`` of all
    images' columns.
    """
    counts: Counter[str] = Counter()

    def count(owner: Any, name: str, what: str) -> None:
        original = getattr(owner, name)

        def counting(*arguments: Any, **named: Any) -> Any:
            counts[what] += 1
            return original(*arguments, **named)

        monkeypatch.setattr(owner, name, counting)

    count(Json, "process_result_value", "json")
    count(Text, "process_result_value", "text")
    count(loading.Case, "__post_init__", "cases")
    count(ImageColumns, "snapshot", "snapshots")
    return counts
