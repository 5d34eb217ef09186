"""Give a vector to each image that has none, so that images can be compared."""

from __future__ import annotations

from casewise.server.vectors import encoder
from casewise.server.work.context import Work


def run(work: Work) -> dict[str, object]:
    return {"vectors": work.archive.embed(encoder(), progress=work.progress, again=False)}
