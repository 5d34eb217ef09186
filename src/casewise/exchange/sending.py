"""Sending DICOM files to another system, whichever way it takes them."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path

from casewise.exchange.node import Node, Peer
from casewise.exchange.outcomes import Outcome
from casewise.exchange.storing import store
from casewise.exchange.stowing import stow


def sent(peer: Peer, files: Sequence[Path], own_title: str) -> Generator[Outcome]:
    """Send files, and give each one's outcome as soon as it is known.

    By C-STORE to a node, in the file's own transfer syntax where the node takes it, else uncompressed; by STOW-RS to a DICOMweb
    service. own_title : how casewise calls itself to nodes that have no ``own_title`` of their own.

    Raises nothing for a system that is away, refuses, or breaks off: the outcomes say so.
    """
    return store(peer, files, own_title) if isinstance(peer, Node) else stow(peer, files)


def send(peer: Peer, files: Sequence[Path], own_title: str) -> list[Outcome]:
    """The outcomes of :func:`sent`, in the order of ``files``."""
    outcomes = {outcome.file: outcome for outcome in sent(peer, files, own_title)}
    return [outcomes[file] for file in files]
