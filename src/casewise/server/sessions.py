"""The registry of interactive sessions: one at a time on each, bounded in memory, saved after each round."""

from __future__ import annotations

from casewise.archive import Archive
from casewise.server.settings import Settings
from casewise.server.store import Store


class Sessions:
    """The sessions of one server."""

    def __init__(self, archive: Archive, store: Store, settings: Settings) -> None:
        self.archive, self.store, self.settings = archive, store, settings
