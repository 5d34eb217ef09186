"""A DICOM node that answers as the test says, written with pynetdicom: for what no sound PACS does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind as FIND
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelGet as GET
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelMove as MOVE

from casewise.exchange.node import Node
from casewise.exchange.wire import prepared

Answer = Callable[[Dataset], Sequence[Dataset]]


@contextmanager
def odd_scp(find: Answer, get: Answer = lambda asked: [], move_port: int = 0) -> Iterator[Node]:
    """find, get : what is asked for → what is answered, whether or not it fits.

    move_port : where C-MOVE sends the answers of ``get``.
    """
    prepared()  # in another process it would take any class too

    def on_find(event: Any) -> Iterator[tuple[int, Dataset]]:
        for answer in find(event.identifier):
            yield 0xFF00, answer

    def on_get(event: Any) -> Iterator[Any]:
        answers = get(event.identifier)
        yield len(answers)
        for answer in answers:
            yield 0xFF00, answer

    def on_move(event: Any) -> Iterator[Any]:
        answers = get(event.identifier)
        yield "127.0.0.1", move_port, {"contexts": [build_context(one) for one in {one.SOPClassUID for one in answers}]}
        yield len(answers)
        for answer in answers:
            yield 0xFF00, answer

    ae = AE("ODD")
    ae.supported_contexts = [build_context(FIND), build_context(GET), build_context(MOVE)]
    for sop_class in ("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"):
        ae.add_supported_context(sop_class, scu_role=True, scp_role=True)
    handlers = [(evt.EVT_C_FIND, on_find), (evt.EVT_C_GET, on_get), (evt.EVT_C_MOVE, on_move)]
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    try:
        yield Node("ODD", "127.0.0.1", server.socket.getsockname()[1])
    finally:
        server.shutdown()


def answer(**values: Any) -> Dataset:
    found = Dataset()
    for keyword, value in values.items():
        setattr(found, keyword, value)
    return found
