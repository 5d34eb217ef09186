"""Storage commitment (PS3.4, annex J), both ways: a system is asked whether it keeps what it was sent, and reports later."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from casewise.errors import CasewiseError
from casewise.exchange.association import AssociationError, associated
from casewise.exchange.node import Node
from casewise.exchange.settings import DicomSettings

MODEL, INSTANCE = "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.1.1"
Reported = Callable[[str, list[str], list[str]], None]
"""(transaction UID, SOP instance UIDs that are held, those that are not)"""
_ASK, _ALL_HELD, _SOME_MISSING = 1, 1, 2
_SUCCESS, _FAILED, _NO_SUCH_INSTANCE, _INVALID, _NO_SUCH_ACTION, _BUSY = 0x0000, 0x0110, 0x0112, 0x0115, 0x0123, 0x0213
_MOST_OPEN = 100  # requests whose reports are not delivered yet
_RESPONSE_SECONDS = 0.25  # in which the answer to a request has left
_log = logging.getLogger("casewise.dicom")


def ask(
    node: Node,
    objects: Sequence[tuple[str, str]],
    transaction_uid: str,
    title: str,
    *,
    reported: Reported | None = None,
    wait_seconds: float = 0.5,
) -> None:
    """Ask ``node`` to commit to storing ``objects`` ((SOP class, SOP instance) UIDs).

    It reports later by an association to the receiver, or on this one, which stays open for ``wait_seconds``: then ``reported`` is
    called. title : how casewise calls itself. Raises AssociationError; passing where it can be asked again.
    """
    from pydicom.dataset import Dataset
    from pynetdicom import evt
    from pynetdicom.presentation import build_context

    came = threading.Event()

    def report_came(event: Any) -> tuple[int, None]:
        status = take_report(event, reported)
        came.set()
        return status, None

    request = Dataset()
    request.TransactionUID = transaction_uid
    request.ReferencedSOPSequence = [_reference(*one) for one in objects]
    with associated(node, [build_context(MODEL)], title, handlers=[(evt.EVT_N_EVENT_REPORT, report_came)]) as association:
        status, _ = association.send_n_action(request, _ASK, MODEL, INSTANCE)
        if "Status" not in status:
            raise AssociationError(f"{node} did not answer the request for storage commitment; look at its log.", passing=True)
        if status.Status != _SUCCESS:
            msg = f"{node} refuses storage commitment with status 0x{status.Status:04X}; look at its log."
            raise AssociationError(msg, passing=status.Status == _BUSY)
        if reported is not None:
            came.wait(wait_seconds)


def take_report(event: Any, reported: Reported | None) -> int:
    """Hand an incoming N-EVENT-REPORT on; the status to answer."""
    try:
        information = event.event_information
        transaction = str(information.TransactionUID)
        held, missing = (_uids(information.get(name) or ()) for name in ("ReferencedSOPSequence", "FailedSOPSequence"))
    except Exception as error:  # whatever a peer sends
        _log.warning("A report on storage commitment cannot be read (%s).", type(error).__name__)
        return _INVALID
    if reported is not None:
        try:
            reported(transaction, held, missing)
        except Exception as error:  # the peer may report again
            _log.warning("A report on storage commitment was not taken in (%s).", type(error).__name__)
            return _FAILED
    return _SUCCESS


@dataclass(frozen=True)
class _Request:
    calling: str
    address: str
    transaction_uid: str
    objects: tuple[tuple[str, str], ...]
    association: Any = field(repr=False)


class Committing:
    """The receiver's part: requests of others are answered and reported on, reports on requests of casewise are handed on.

    A report goes to the node of the settings that has the requester's title, by a new association. Where there is none it goes
    back on the requester's own association, while that is open. pauses : seconds before each try.
    """

    def __init__(
        self,
        settings: DicomSettings,
        committed: Callable[[Sequence[tuple[str, str]]], set[str]],
        reported: Reported | None,
        pauses: Sequence[float] = (0.0, 5.0, 30.0, 120.0, 600.0),
    ) -> None:
        self._settings, self._committed, self._reported, self._pauses = settings, committed, reported, pauses
        self._open = threading.BoundedSemaphore(_MOST_OPEN)
        self._ending = threading.Event()

    def handlers(self) -> list[tuple[Any, Callable[[Any], tuple[int, None]]]]:
        from pynetdicom import evt

        return [
            (evt.EVT_N_ACTION, lambda event: (self._asked(event), None)),
            (evt.EVT_N_EVENT_REPORT, lambda event: (take_report(event, self._reported), None)),
        ]

    def stop(self) -> None:
        self._ending.set()

    def _asked(self, event: Any) -> int:
        if event.action_type != _ASK:
            return _NO_SUCH_ACTION
        peer = event.assoc.requestor
        try:
            information = event.action_information
            objects = tuple((str(one.ReferencedSOPClassUID), str(one.ReferencedSOPInstanceUID)) for one in _items(information))
            request = _Request(peer.ae_title.strip(), peer.address, str(information.TransactionUID), objects, event.assoc)
        except Exception as error:  # whatever a peer sends
            _log.warning("A request of %r for storage commitment cannot be read (%s).", peer.ae_title, type(error).__name__)
            return _INVALID
        if not self._open.acquire(blocking=False):
            return _BUSY
        threading.Thread(target=self._answer, args=(request,), name="commitment", daemon=True).start()
        return _SUCCESS

    def _answer(self, request: _Request) -> None:
        try:
            self._ending.wait(_RESPONSE_SECONDS)
            for pause in self._pauses:
                if self._ending.wait(pause):
                    return
                if self._is_settled(request):
                    return
            _log.warning("Which objects are held could not be reported to %r; it has to ask again.", request.calling)
        finally:
            self._open.release()

    def _is_settled(self, request: _Request) -> bool:
        """Report what is held by now: whether the requester has the report, or can never get it."""
        node = self._node(request)
        try:
            report, kind = _report(request, self._committed(request.objects))
            if node is None:
                return _on_its_own_association(request, report, kind)
            _send(node, self._settings.ae_title, report, kind)
        except Exception as error:  # it is tried again
            reason = str(error) if isinstance(error, CasewiseError) else f"it failed with {type(error).__name__}."
            _log.warning("A report on storage commitment was not delivered: %s", reason)
            return False
        return True

    def _node(self, request: _Request) -> Node | None:
        """The requester; of several nodes with its title the one at its address."""
        found = [node for node in self._settings.nodes.values() if node.ae_title.strip() == request.calling]
        return min(found, key=lambda node: node.host != request.address, default=None)


def _send(node: Node, title: str, report: Any, kind: int) -> None:
    from pynetdicom.presentation import build_context, build_role

    roles = [build_role(MODEL, scp_role=True)]  # here the one that opens the association provides the service
    with associated(node, [build_context(MODEL)], title, roles=roles) as association:
        status, _ = association.send_n_event_report(report, kind, MODEL, INSTANCE)
        if status.get("Status") != _SUCCESS:
            raise AssociationError(f"{node} did not take a report on storage commitment; look at its log.", passing=True)


def _on_its_own_association(request: _Request, report: Any, kind: int) -> bool:
    association = request.association
    if not association.is_established:
        _log.warning(
            "%r at %s asked for storage commitment and cannot be reported to: add it to [nodes] of dicom.toml.",
            request.calling,
            request.address,
        )
        return True  # nothing that comes later would change that
    try:
        status, _ = association.send_n_event_report(report, kind, MODEL, INSTANCE)
    except (RuntimeError, ValueError):  # it was released meanwhile
        return False
    return bool(status.get("Status") == _SUCCESS)


def _report(request: _Request, held: set[str]) -> tuple[Any, int]:
    """The event information, and the event's type."""
    from pydicom.dataset import Dataset

    report = Dataset()
    report.TransactionUID = request.transaction_uid
    present = [_reference(*one) for one in request.objects if one[1] in held]
    if present:
        report.ReferencedSOPSequence = present
    missing = [_reference(*one) for one in request.objects if one[1] not in held]
    for one in missing:
        one.FailureReason = _NO_SUCH_INSTANCE
    if missing:
        report.FailedSOPSequence = missing
    return report, _SOME_MISSING if missing else _ALL_HELD


def _reference(sop_class: str, sop_uid: str) -> Any:
    from pydicom.dataset import Dataset

    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, sop_uid
    return item


def _items(information: Any) -> Iterable[Any]:
    return information.ReferencedSOPSequence  # type: ignore[no-any-return]


def _uids(items: Iterable[Any]) -> list[str]:
    return [str(item.ReferencedSOPInstanceUID) for item in items]
