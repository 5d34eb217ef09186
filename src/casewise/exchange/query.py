"""C-FIND: which studies, series and instances a DICOM node has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from casewise.exchange.association import associated
from casewise.exchange.found import MOST_ANSWERS, AwayError, SourceError, dataset_values, too_many, with_uids
from casewise.exchange.node import Node
from casewise.exchange.questions import Found, Questions
from casewise.exchange.quiet import quiet
from casewise.exchange.wire import EXPLICIT, IMPLICIT, PENDING

_FIND = "1.2.840.10008.5.1.4.1.2.2.1"  # Study Root
_UTF_8 = "ISO_IR 192"
_SUCCESS = 0x0000


class Finder(Questions):
    """Questions to a node over one association, opened with the first one and again where the node has closed it.

    own_title : how casewise calls itself, where the node has no title of its own.
    """

    def __init__(self, node: Node, own_title: str) -> None:
        self._node = node
        self._own_title = own_title
        self._open = ExitStack()
        self._association: Any = None

    def close(self) -> None:
        self._open.close()
        self._association = None

    def _ask(self, kind: type[Found], keys: Mapping[str, str]) -> list[Found]:
        """An association that was kept may have been closed meanwhile: then the question is asked once more."""
        kept = self._association is not None
        with quiet():
            try:
                return self._answers(kind, keys)
            except AwayError:
                self.close()
                if kept:
                    return self._answers(kind, keys)
                raise

    def _answers(self, kind: type[Found], keys: Mapping[str, str]) -> list[Found]:
        found: dict[Found, None] = {}
        identifier = _identifier(kind.LEVEL, kind.ATTRIBUTES, keys)
        for status, answer in self._opened().send_c_find(identifier, _FIND):
            code = status.get("Status")
            if code is None:
                raise AwayError(f"{self._node} stopped responding to a question; try again.")
            if code not in PENDING and code != _SUCCESS:
                raise SourceError(f"{self._node} refuses a question (C-FIND status 0x{code:04X}); ask its administrator why.")
            if code in PENDING:
                if answer is None:
                    self._association.abort()
                    raise SourceError(f"{self._node} answers with what cannot be decoded.")
                found[kind.of(with_uids(dataset_values(answer, kind.ATTRIBUTES), keys))] = None
            if len(found) > MOST_ANSWERS:
                self._association.abort()
                raise too_many(self._node)
        return list(found)

    def _opened(self) -> Any:
        from pynetdicom.presentation import build_context

        if self._association is None or not self._association.is_established:
            self.close()
            context = build_context(_FIND, [EXPLICIT, IMPLICIT])
            self._association = self._open.enter_context(associated(self._node, [context], self._own_title))
        return self._association


def _identifier(level: str, attributes: Sequence[str], keys: Mapping[str, str]) -> Any:
    from pydicom.dataset import Dataset

    identifier = Dataset()
    if any(not value.isascii() for value in keys.values()):
        identifier.SpecificCharacterSet = _UTF_8
    identifier.QueryRetrieveLevel = level
    for keyword in attributes:
        setattr(identifier, keyword, keys.get(keyword, ""))
    return identifier
