"""The process that is on the hospital's network: it receives, notes what is complete, sends results, and watches folders.

``python -m casewise.server.dicom.process ARCHIVE PORT``; ``casewise serve --dicom-port`` starts it, and again when it dies. It ends
when its standard input does, which is when the server lets it go or dies. Each part runs in a thread of its own: an error of one is
logged, and the part goes on after a pause; the others do not notice.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from casewise.errors import CasewiseError
from casewise.exchange.quiet import silence
from casewise.exchange.receiver import Receiver
from casewise.exchange.settings import DicomSettings
from casewise.exchange.wire import prepared
from casewise.server.dicom import places
from casewise.server.dicom.asking import Asking
from casewise.server.dicom.dispatcher import Dispatcher
from casewise.server.dicom.outbox import Sender
from casewise.server.dicom.watcher import Watcher
from casewise.server.processes import follow_parent_process, log_to_stderr, where
from casewise.server.store import Store

TICK_SECONDS = 0.5
_PAUSES = (1.0, 2.0, 5.0, 15.0)  # after errors of a part in a row
_log = logging.getLogger("casewise.dicom")


@dataclass
class Part:
    """What is called again and again in a thread of its own."""

    name: str
    tick: Callable[[], object]
    pause: float = TICK_SECONDS

    def run(self, ending: threading.Event) -> None:
        wrong = 0
        while not ending.is_set():
            try:
                self.tick()
            except CasewiseError as error:
                _log.warning("%s: %s", self.name, error)
                wrong += 1
            except Exception as error:
                _log.error("%s: %s", self.name, where(error))  # without its text, which may hold a name
                wrong += 1
            else:
                wrong = 0
            ending.wait(_PAUSES[min(wrong, len(_PAUSES)) - 1] if wrong else self.pause)


class Once:
    """Calls what is to succeed once, and not again then."""

    def __init__(self, action: Callable[[], object]) -> None:
        self._action, self._done = action, False

    def __call__(self) -> None:
        if not self._done:
            self._action()
            self._done = True


def run(parts: Sequence[Part], ending: threading.Event) -> None:
    """Run the parts until ``ending`` is set, each to the end of its call at hand."""
    threads = [threading.Thread(target=part.run, args=(ending,), name=part.name) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def serve(folder: Path, port: int, ending: threading.Event) -> None:
    """Be the archive's process on the network until ``ending`` is set. Raises UsageError for settings that cannot be used."""
    settings = DicomSettings.load(folder)
    prepared()  # before there are threads, as two that import pydicom at the same time meet halves of it
    with ExitStack() as stack:
        store = stack.enter_context(closing(Store.open(folder)))
        spool = places.spool(folder)
        sender = Sender(store, folder, settings)
        asking = None if settings.source is None else Asking(settings.source, settings.ae_title)
        dispatcher = Dispatcher(store, spool, settings, expected=None if asking is None else asking.expected)
        receiver = Receiver(settings, spool, port, committed=dispatcher.held, reported=sender.reported, stored=dispatcher.arrived)
        dispatcher.sending = receiver.sending
        stack.callback(receiver.stop)
        watcher = Watcher(settings.receive.watch, spool, folder / places.TAKEN, dispatcher.arrived)
        parts = [
            Part("Receiving", Once(receiver.start)),
            Part("Dispatching", dispatcher.tick),
            Part("Watching", watcher.tick),
            Part("Sending", partial(sender.run, ending)),
        ]
        parts += [] if asking is None else [Part("Asking", asking.tick)]
        run(parts, ending)


if __name__ == "__main__":
    log_to_stderr()
    silence()
    over = threading.Event()
    follow_parent_process(over.set)
    serve(Path(sys.argv[1]), int(sys.argv[2]), over)
