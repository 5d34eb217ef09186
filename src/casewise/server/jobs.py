"""The queue: jobs with a lease, a heartbeat and a dead letter; each is done once whatever is killed."""

from __future__ import annotations

from casewise.server.store import Store


class Jobs:
    """The queue of one store."""

    def __init__(self, store: Store) -> None:
        self.store = store
