"""Associations that are opened from here: the one place with titles, TLS, time-outs, and sentences for what goes wrong."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from casewise.errors import CasewiseError
from casewise.exchange.certificates import client_context
from casewise.exchange.node import Node, Tls
from casewise.exchange.wire import MOST_PDU, VERIFICATION, prepared

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 60.0
# (source, diagnostic) of a rejection (PS3.8, 9.3.4) → what it means to the person who set the systems up
_REJECTIONS = {
    (1, 2): "it does not know this kind of association",
    (1, 3): "it does not know the calling AE title {own}; add casewise there",
    (1, 7): "it is not called {title}; correct the AE title in dicom.toml",
    (3, 1): "it is too busy; try again later",
    (3, 2): "it has as many associations as it takes; try again later",
}


class AssociationError(CasewiseError):
    """A system cannot be spoken with. passing : whether the same can succeed later without anybody changing settings."""

    def __init__(self, sentence: str, *, passing: bool) -> None:
        super().__init__(sentence)
        self.passing = passing


class NothingTakenError(AssociationError):
    """A system takes none of the kinds of object or service that were proposed to it."""


@contextmanager
def associated(
    node: Node,
    contexts: Sequence[Any],
    title: str,
    *,
    roles: Sequence[Any] = (),
    handlers: Sequence[tuple[Any, ...]] = (),
    answer_seconds: float = ANSWER_SECONDS,
) -> Iterator[Any]:
    """A pynetdicom association with ``node``, released after the block and aborted where that raises.

    contexts : presentation contexts to propose, 1 to 128. title : how casewise calls itself where the node names no own title.
    roles : SCP/SCU role selection items. handlers : (event, function, arguments…) as pynetdicom takes them. answer_seconds : how
    long an answer is awaited.

    Raises AssociationError where there is no association, NothingTakenError where none of the contexts is accepted, and UsageError
    for TLS files that cannot be used.
    """
    prepared()
    from pynetdicom import AE, evt

    entity = AE(ae_title=node.own_title or title)
    entity.connection_timeout = CONNECT_SECONDS
    entity.acse_timeout = min(answer_seconds, 30.0)
    entity.dimse_timeout = entity.network_timeout = answer_seconds
    tls = (client_context(node.tls), node.host) if node.tls is not None else None
    rejections: list[Any] = []
    try:
        association = entity.associate(
            node.host,
            node.port,
            list(contexts),
            ae_title=node.ae_title,
            max_pdu=MOST_PDU,
            ext_neg=list(roles),
            tls_args=tls,
            evt_handlers=[(evt.EVT_PDU_RECV, _keep_rejection, [rejections]), *handlers],
        )
    except OSError as error:  # a host that nobody knows
        raise AssociationError(_unreachable(node, error.strerror or type(error).__name__), passing=True) from error
    if not association.is_established:
        raise _refusal(node, association, entity.ae_title, rejections)
    try:
        yield association
    except BaseException:
        association.abort()
        raise
    if association.is_established:
        association.release()


def echo(node: Node, title: str) -> None:
    """C-ECHO: that ``node`` answers. Raises AssociationError, UsageError."""
    from pynetdicom.presentation import build_context

    with associated(node, [build_context(VERIFICATION)], title) as association:
        status = association.send_c_echo()
        if "Status" not in status:
            raise AssociationError(f"{node} took the association and answered no C-ECHO; look at its log.", passing=True)
        if status.Status != 0:
            raise AssociationError(f"{node} answered C-ECHO with status 0x{status.Status:04X}; look at its log.", passing=False)


def _keep_rejection(event: Any, rejections: list[Any]) -> None:
    """Keeps an A-ASSOCIATE-RJ: where it comes quickly, pynetdicom finds the connection closed before it looks at the answer."""
    from pynetdicom.pdu import A_ASSOCIATE_RJ

    if isinstance(event.pdu, A_ASSOCIATE_RJ):
        rejections.append(event.pdu)


def _refusal(node: Node, association: Any, own: str, rejections: Sequence[Any]) -> AssociationError:
    """Why there is no association."""
    if rejections:
        answer = rejections[0]
        reason = _REJECTIONS.get((answer.source, answer.reason_diagnostic), "it gives no reason; look at its log")
        sentence = f"{node} refuses the association: {reason.format(own=own, title=node.ae_title)}."
        return AssociationError(sentence, passing=answer.result == 2)
    problem = _connection_problem(node)
    if problem:
        return AssociationError(_unreachable(node, problem), passing=True)
    if association.rejected_contexts:
        msg = f"{node} takes none of the kinds of object or service that were proposed; set it up to take them."
        return NothingTakenError(msg, passing=False)
    return AssociationError(f"{node} broke the association off, or did not answer in time; look at its log.", passing=True)


def _unreachable(node: Node, problem: str) -> str:
    return f"{node} cannot be reached: {problem}; check its address, that it runs, and the firewall between."


def _connection_problem(node: Node) -> str | None:
    """What is wrong with a connection as such: pynetdicom keeps that to itself."""
    try:
        with socket.create_connection((node.host, node.port), CONNECT_SECONDS) as connection:
            return _tls_problem(node, node.tls, connection) if node.tls is not None else None
    except TimeoutError:
        return "it does not answer in time"
    except OSError as error:
        return error.strerror or type(error).__name__


def _tls_problem(node: Node, tls: Tls, connection: socket.socket) -> str | None:
    try:
        with client_context(tls).wrap_socket(connection, server_hostname=node.host) as wrapped:
            # By TLS 1.3 it is only on reading that a client's certificate is reported as not believed; nothing is sent otherwise.
            wrapped.settimeout(0.5)
            wrapped.recv(1)
    except ssl.SSLCertVerificationError as error:
        return f"its certificate is not believed ({error.verify_message})"
    except ssl.SSLError as error:
        return f"TLS fails ({(error.reason or 'no reason given').lower().replace('_', ' ')})"
    except TimeoutError:
        pass
    return None
