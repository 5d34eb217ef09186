"""The same model trained by one process and with workers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from casewise.threads import one_thread
from tests.cli.conftest import Call, Called


def made_alike(call: Call, words: Sequence[object], folder: Path) -> tuple[Called, Called]:
    """What ``casewise`` with ``words`` says by one process (into ``here/model``) and by two workers (``there/model``): their
    documents and weights are asserted to be the same.
    """
    with one_thread():
        here = call(*words, "--output", folder / "here" / "model")
        there = call(*words, "--output", folder / "there" / "model", "--workers", 2)
    one, other = (cast("dict[str, Any]", made.document) for made in (here, there))
    for document in (one, other):
        del document["model"], document["report"]
    assert one == other
    weights = [folder / where / "model" / "weights.safetensors" for where in ("here", "there")]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    return here, there
