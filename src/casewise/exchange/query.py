"""C-FIND: which studies, series and instances a DICOM node has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, TypeVar

from casewise.exchange.asked import Query
from casewise.exchange.association import associated
from casewise.exchange.found import (
    INSTANCE_ATTRIBUTES,
    MOST_ANSWERS,
    SERIES_ATTRIBUTES,
    STUDY_ATTRIBUTES,
    AwayError,
    Listed,
    Series,
    SourceError,
    Study,
    Values,
    dataset_values,
    with_uids,
)
from casewise.exchange.node import Node
from casewise.exchange.quiet import quiet

_FIND = "1.2.840.10008.5.1.4.1.2.2.1"  # Study Root
_UTF_8 = "ISO_IR 192"
_SYNTAXES = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")
_PENDING, _SUCCESS = (0xFF00, 0xFF01), 0x0000

Found = TypeVar("Found", Study, Series, Listed)


class Finder:
    """Questions to a node over one association, opened with the first one and again where the node has closed it.

    own_title : how casewise calls itself, where the node has no title of its own. Every question raises AssociationError where the
    node cannot be reached, and SourceError where it refuses, breaks off, or answers with what is no UID. Answers that are not of
    what was asked for are left out. Use it in ``with``.
    """

    def __init__(self, node: Node, own_title: str) -> None:
        self._node = node
        self._own_title = own_title
        self._open = ExitStack()
        self._association: Any = None

    def __enter__(self) -> Finder:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._open.close()
        self._association = None

    def studies(self, query: Query) -> list[Study]:
        """Those that the query asks for, and no others."""
        return [one for one in self._ask("STUDY", STUDY_ATTRIBUTES, query.keys(), Study.of) if query.answered_by(one)]

    def series(self, study: str) -> list[Series]:
        """Of a study."""
        found = self._ask("SERIES", SERIES_ATTRIBUTES, {"StudyInstanceUID": study}, Series.of)
        return [one for one in found if one.study == study]

    def instances(self, study: str, series: str) -> list[Listed]:
        """Of a series; empty where the node does not answer at this level."""
        keys = {"StudyInstanceUID": study, "SeriesInstanceUID": series}
        found = self._ask("IMAGE", INSTANCE_ATTRIBUTES, keys, Listed.of)
        return [one for one in found if one.study == study and one.series == series]

    def _ask(self, level: str, attributes: Sequence[str], keys: Mapping[str, str], made: Callable[[Values], Found]) -> list[Found]:
        """Each answer once. An association that was kept may have been closed meanwhile: then the question is asked once more."""
        identifier = _identifier(level, attributes, keys)
        kept = self._association is not None
        with quiet():
            try:
                return self._answers(identifier, attributes, keys, made)
            except AwayError:
                self.close()
                if kept:
                    return self._answers(identifier, attributes, keys, made)
                raise

    def _answers(
        self, identifier: Any, attributes: Sequence[str], keys: Mapping[str, str], made: Callable[[Values], Found]
    ) -> list[Found]:
        found: dict[Found, None] = {}
        for status, answer in self._opened().send_c_find(identifier, _FIND):
            code = status.get("Status")
            if code is None:
                raise AwayError(f"{self._node} stopped responding to a question; try again.")
            if code not in _PENDING and code != _SUCCESS:
                raise SourceError(f"{self._node} refuses a question (C-FIND status 0x{code:04X}); ask its administrator why.")
            if code in _PENDING:
                if answer is None:
                    self._association.abort()
                    raise SourceError(f"{self._node} answers with what cannot be decoded.")
                found[made(with_uids(dataset_values(answer, attributes), keys))] = None
            if len(found) > MOST_ANSWERS:
                self._association.abort()
                raise SourceError(f"{self._node} answers with more than {MOST_ANSWERS:,} matches; narrow the selection.")
        return list(found)

    def _opened(self) -> Any:
        from pynetdicom.presentation import build_context

        if self._association is None or not self._association.is_established:
            self.close()
            context = build_context(_FIND, list(_SYNTAXES))
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
