"""Work done in this process."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from casewise.workers.contract import Item, Lost, Make, Outcome


class Here:
    """In this process, one chunk after the other. What it runs may use all cores."""

    size = 1

    def run(self, chunks: Sequence[Sequence[Item]], make: Make[Item, Outcome]) -> Generator[tuple[Item, Outcome | Lost]]:
        with make() as do:
            for chunk in chunks:
                yield from zip(chunk, do(chunk), strict=True)
