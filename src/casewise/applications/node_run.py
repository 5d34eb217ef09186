"""A DICOM node as an application: where images go, where its answers arrive, and when they are complete."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from casewise.applications.key_checks import check_key, wrong_key
from casewise.errors import UsageError
from casewise.exchange.node import Node, check_title, is_loopback, parse_peer

RESULTS = ("seg", "sr", "capture")
_TLS = ("certificate", "key", "ca")
_LONGEST_QUIET = 3600.0


@dataclass(frozen=True)
class NodeRun:
    """A DICOM node that gets an image's own files by C-STORE and sends its results back by C-STORE.

    node : ``TITLE@host:port``. reply_port, reply_title, reply_host : where casewise listens for the results, under which AE title
    and at which of its addresses; the node has them in its list of destinations. answers_from, answers_host : the only AE title and
    host that may send there, by default the node's own.
    quiet_seconds : the results are complete so long after the last object came and the last association ended. results : kinds that
    are awaited; they are complete as soon as one of each has come, and not before.
    anonymous : whether copies are sent that do not name the patient. tls : paths of PEM files, ``certificate``, ``key``, ``ca``,
    for both directions.
    """

    node: str
    reply_port: int
    reply_title: str = "CASEWISE"
    reply_host: str = "127.0.0.1"
    answers_from: str | None = None
    answers_host: str | None = None
    quiet_seconds: float = 3.0
    results: tuple[str, ...] = ()
    anonymous: bool = False
    tls: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        peer = _peer(self.node)
        check_key(1 <= self.reply_port <= 65535, "reply_port", self.reply_port, "it is a port of this machine, from 1 to 65535")
        for key, title in (("reply_title", self.reply_title), ("answers_from", self.answers_from)):
            _check_title(key, title)
        for key, host in (("reply_host", self.reply_host), ("answers_host", self.answers_host)):
            good = host is None or (host.strip() and not any(sign.isspace() or sign == "/" for sign in host))
            check_key(good, key, host, "it is the name or address of a machine")
        away = not is_loopback(self.answers_host or peer.host)
        allowed = "the results come from another machine, which reaches only an address of this machine's on the network"
        check_key(not (away and is_loopback(self.reply_host)), "reply_host", self.reply_host, allowed)
        allowed = "it is the name of another port than the one at which the node listens"
        check_key(away or self.reply_port != peer.port, "reply_port", self.reply_port, allowed)
        good = 0 < self.quiet_seconds <= _LONGEST_QUIET
        check_key(good, "quiet_seconds", self.quiet_seconds, f"it is a number above 0 and up to {_LONGEST_QUIET:g}")
        check_key(set(self.results) <= set(RESULTS), "results", self.results, f"it is a list of {', '.join(RESULTS)}")
        good = set(self.tls) <= set(_TLS) and all(isinstance(path, str) and path for path in self.tls.values())
        check_key(good, "tls", dict(self.tls), f"it is a table with paths of PEM files: {', '.join(_TLS)}")
        good = ("certificate" in self.tls) == ("key" in self.tls) and (not self.tls or "certificate" in self.tls)
        check_key(good, "tls", dict(self.tls), "certificate and key go together, and the results need them")

    @property
    def peer(self) -> Node:
        """Where the image goes; without TLS."""
        return _peer(self.node)

    @property
    def how(self) -> str:
        return f"DICOM node {self.node}"


def _peer(node: str) -> Node:
    try:
        peer: object = parse_peer(node)
    except UsageError:
        peer = None
    if not isinstance(peer, Node):
        raise wrong_key("node", node, "it is a DICOM node, TITLE@host:port, such as CAD@cad.hospital.example:11112")
    return peer


def _check_title(key: str, title: str | None) -> None:
    try:
        if title is not None:
            check_title(title)
    except ValueError as error:
        allowed = "it is an AE title: 1 to 16 letters, digits and signs of ASCII, and no backslash"
        raise wrong_key(key, title, allowed) from error
