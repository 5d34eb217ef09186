"""Sending files by C-STORE: one association for many files, each in its own transfer syntax where the other end takes it."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from casewise.errors import CasewiseError, UnreadableImageError
from casewise.exchange.association import NothingTakenError, associated
from casewise.exchange.node import Node
from casewise.exchange.outcomes import MOST_CUTS, Outcome, by_status, gone, no_dicom, not_tried
from casewise.exchange.part10 import SOP_CLASS, SOP_UID, SYNTAX, FileMeta
from casewise.exchange.quiet import quiet
from casewise.exchange.uncompressed import uncompressed
from casewise.exchange.wire import EXPLICIT, IMPLICIT

_MOST_CONTEXTS = 126  # of the 128 that an association can have
_ANSWER = 120.0  # seconds until a node has stored an object and says so


@dataclass(frozen=True)
class _File:
    """By its file meta information, which is all that is read of a file that goes out as it is."""

    path: Path
    sop_class: str
    syntax: str


def store(node: Node, paths: Sequence[Path], own_title: str) -> Generator[Outcome]:
    """Each file's outcome as soon as it is known: those that are no DICOM files first, the rest in their order.

    Raises nothing for a node that is away. A file at which the association breaks off has failed, and the rest go by another one;
    after three in a row that took nothing, the rest are not tried.
    """
    described = [_described(path) for path in paths]
    yield from (one for one in described if isinstance(one, Outcome))
    waiting = [one for one in described if isinstance(one, _File)]
    broken, cuts = "", 0
    while waiting and cuts < MOST_CUTS:
        batch = _together(waiting)
        ended = 0
        try:
            with associated(node, _contexts(batch), own_title, answer_seconds=_ANSWER) as association:
                for file in batch:
                    with quiet():
                        outcome, broken = _stored(association, node, file)
                    ended += 1
                    yield outcome
                    if broken:
                        break
        except NothingTakenError:
            yield from (_no_context(node, file, set()) for file in batch)
            ended = len(batch)
        except CasewiseError as error:
            broken = str(error)
            break
        waiting = waiting[ended:]
        cuts = cuts + 1 if broken and ended == 1 else 0
    yield from not_tried((file.path for file in waiting), broken)


def _described(path: Path) -> _File | Outcome:
    try:
        with path.open("rb") as file:
            meta = FileMeta.read(file)
    except OSError:
        return gone(path)
    except UnreadableImageError:
        return no_dicom(path)
    sop_class, syntax = meta.text(SOP_CLASS), meta.text(SYNTAX)
    return _File(path, sop_class, syntax) if sop_class and syntax and meta.text(SOP_UID) else no_dicom(path)


def _together(files: Sequence[_File]) -> list[_File]:
    """The first files, as many as one association has presentation contexts for."""
    contexts: set[tuple[str, str]] = set()
    chosen: list[_File] = []
    for file in files:
        contexts |= {(file.sop_class, syntax) for syntax in (file.syntax, EXPLICIT, IMPLICIT)}
        if len(contexts) > _MOST_CONTEXTS:
            break
        chosen.append(file)
    return chosen


def _contexts(files: Sequence[_File]) -> list[Any]:
    """A presentation context for each class and transfer syntax."""
    from pynetdicom import _config
    from pynetdicom.presentation import build_context

    _config.STORE_SEND_CHUNKED_DATASET = True  # a file given by its path is never held whole
    wanted = {(file.sop_class, syntax): None for file in files for syntax in (file.syntax, EXPLICIT, IMPLICIT)}
    return [build_context(*one) for one in wanted]


def _stored(association: Any, node: Node, file: _File) -> tuple[Outcome, str]:
    """The file's outcome, and where the association broke off at it the sentence that says so."""
    accepted = {(str(one.abstract_syntax), str(one.transfer_syntax[0])) for one in association.accepted_contexts}
    ours = [syntax for syntax in (file.syntax, EXPLICIT, IMPLICIT) if (file.sop_class, syntax) in accepted]
    if not ours:
        return _no_context(node, file, {sop_class for sop_class, _ in accepted}), ""
    try:
        # A path is sent as it is, in pieces; a data set is held in memory.
        what = file.path if ours[0] == file.syntax else _converted(file.path)
    except CasewiseError as error:
        return Outcome(file.path, "refused", str(error)), ""
    except OSError:
        return gone(file.path), ""
    try:
        status = association.send_c_store(what).get("Status")
    except (RuntimeError, ValueError, AttributeError, OSError):
        status = None
    if status is None:
        broken = f"{node} broke the association off."
        return Outcome(file.path, "failed", broken), broken
    return by_status(file.path, str(node), int(status)), ""


def _no_context(node: Node, file: _File, taken: set[str]) -> Outcome:
    from pydicom.uid import UID

    name = UID(file.sop_class).name
    if file.sop_class in taken:
        return Outcome(file.path, "refused", f"{node} takes {name} in no transfer syntax that the file can be turned into.")
    return Outcome(file.path, "refused", f"{node} does not take objects of the class {name}.")


def _converted(path: Path) -> Any:
    """The data set for an uncompressed transfer syntax, little endian; pynetdicom writes it explicit or implicit."""
    dataset = uncompressed(path)
    if not dataset.file_meta.TransferSyntaxUID.is_little_endian:
        raise UnreadableImageError(f"{path.name} is encoded big endian, which the other end does not take; convert it first.")
    return dataset
