"""C-GET: a DICOM node sends what is asked for over the association on which it was asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from casewise.exchange.association import associated
from casewise.exchange.found import SourceError
from casewise.exchange.node import Node
from casewise.exchange.quiet import quiet
from casewise.exchange.taking import Taker
from casewise.exchange.wire import EXPLICIT, IMPLICIT, PENDING

GET, MOVE = "1.2.840.10008.5.1.4.1.2.2.3", "1.2.840.10008.5.1.4.1.2.2.2"  # Study Root
PLAIN = (EXPLICIT, IMPLICIT)
# Compressed ones, each with pixels that casewise reads, so that a node sends its objects as it keeps them.
_COMPRESSED = tuple(
    f"1.2.840.10008.1.2.{end}" for end in ("1.99", "4.50", "4.51", "4.57", "4.70", "4.80", "4.81", "4.90", "4.91", "5")
)
_MOST_CONTEXTS = 127  # beside that of the question
_BATCH = 100  # instances named in one request
ANSWER_SECONDS = 300.0  # in which a node may look for what it is to send next
_SUB_OPERATIONS_FAILED = 0xB000


def get(node: Node, own_title: str, taker: Taker, classes: Sequence[str], uids: Sequence[str]) -> str | None:
    """Have a node send the instances of ``uids`` (empty: of the whole series) to ``taker``.

    classes : SOP classes of the instances; empty: the usual ones of images. Returns a sentence where the node says that it did not
    send all. Raises AssociationError where it cannot be reached, SourceError where it refuses or breaks off, and the taker's error.
    """
    from pynetdicom import build_role, evt
    from pynetdicom.presentation import build_context

    classes = classes or _image_classes()

    def store(event: Any) -> int:
        status = taker.take(event.encoded_dataset())
        taker.report()
        return status

    contexts = [build_context(abstract, list(syntaxes)) for abstract, syntaxes in [(GET, PLAIN), *_contexts(classes)]]
    roles = [build_role(one, scp_role=True) for one in classes]
    handlers = [(evt.EVT_C_STORE, store)]
    with (
        quiet(),
        associated(node, contexts, own_title, roles=roles, handlers=handlers, answer_seconds=ANSWER_SECONDS) as association,
    ):
        why = None
        for identifier in identifiers(taker, uids):
            why = outcome(node, taker, association.send_c_get(identifier, GET)) or why
    return why


def identifiers(taker: Taker, uids: Sequence[str]) -> Iterator[Any]:
    """What is asked for, a request after the other: the series, or some of its instances."""
    from pydicom.dataset import Dataset

    for first in range(0, max(len(uids), 1), _BATCH):
        identifier = Dataset()
        identifier.QueryRetrieveLevel = "IMAGE" if uids else "SERIES"
        identifier.StudyInstanceUID, identifier.SeriesInstanceUID = taker.study.uid, taker.wanted.uid
        if uids:
            identifier.SOPInstanceUID = list(uids[first : first + _BATCH])
        yield identifier


def outcome(node: Node, taker: Taker, answers: Iterator[tuple[Any, Any]]) -> str | None:
    """A sentence where the node failed to send some. Raises SourceError where it refuses or breaks off, and the taker's error."""
    for status, _ in answers:
        code = status.get("Status")
        taker.report()
        if taker.error is not None:
            raise taker.error
        if code is None:
            raise SourceError(f"{node} broke off while it was sending; what came is kept.")
        if code in PENDING:
            continue
        failed = status.get("NumberOfFailedSuboperations") or 0
        if code == _SUB_OPERATIONS_FAILED or failed:
            return f"{node} failed to send {failed:,} objects."
        if code != 0:
            raise SourceError(_refusal(node, code))
    return None


def _refusal(node: Node, code: int) -> str:
    if code == 0xA801:
        return f"{node} does not know this title as a place to send to; register it there with this machine's address and port."
    return f"{node} refuses to send (status 0x{code:04X}); ask its administrator why."


def _contexts(classes: Sequence[str]) -> list[tuple[str, Sequence[str]]]:
    """A context for each class and transfer syntax; where these are too many, one a class, of which the node chooses the syntax."""
    syntaxes = (*PLAIN, *_COMPRESSED)
    if len(classes) * len(syntaxes) <= _MOST_CONTEXTS:
        return [(one, (syntax,)) for one in classes for syntax in syntaxes]
    return [(one, syntaxes) for one in classes[:_MOST_CONTEXTS]]


def _image_classes() -> list[str]:
    """Storage classes of images, for a node that does not say which its instances have."""
    from pynetdicom import AllStoragePresentationContexts

    named = ((one.abstract_syntax, one.abstract_syntax.keyword) for one in AllStoragePresentationContexts)
    return [str(uid) for uid, name in named if "Image" in name or "Segmentation" in name][:_MOST_CONTEXTS]
