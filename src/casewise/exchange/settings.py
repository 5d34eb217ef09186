"""``dicom.toml`` in the archive's folder: how casewise is called on the network, who may send, and where to send and ask."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from casewise.errors import UsageError
from casewise.exchange.node import Node, Peer, Tls, WebNode, check_title, is_loopback, parse_peer
from casewise.settings_file import read_settings

FILE = "dicom.toml"
Kind = Literal["seg", "sr", "capture", "map"]  # of an object with results
_Seconds = Annotated[float, msgspec.Meta(ge=0, le=30 * 86400)]


class Sender(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who may send. address : its IP address; None: any. site : what its images are marked with in the archive."""

    ae_title: str
    address: str | None = None
    site: str | None = None

    def __post_init__(self) -> None:
        check_title(self.ae_title)


class Receive(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a series is complete, and what is watched.

    idle_seconds : after the last instance, with no association open that sent to the study. picture_idle_seconds : the same for
    modalities whose instances are images each (CR, DX, MG, …). force_seconds : after the first instance, whatever still comes.
    ask_source : the node (of ``nodes``) that is asked by C-FIND how many instances a series has; it is complete at once when it has
    as many. watch : folders whose DICOM files are taken in. most_associations : at one time.
    priors : how many earlier studies of the patient, of the same modality, are fetched before a study is analysed.
    priors_from : the name of the system that has them.
    """

    idle_seconds: _Seconds = 30.0
    picture_idle_seconds: _Seconds = 2.0
    force_seconds: _Seconds = 5400.0
    ask_source: str | None = None
    watch: tuple[Path, ...] = ()
    most_associations: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 50
    priors: Annotated[int, msgspec.Meta(ge=0, le=50)] = 0
    priors_from: str | None = None

    def __post_init__(self) -> None:
        if self.priors and self.priors_from is None:
            raise ValueError("priors needs priors_from, the name of the system that they are fetched from")


class Results(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is made of results, and the nodes to which those of received images go where no rule says another."""

    volumes: tuple[Kind, ...] = ("seg", "sr")
    radiographs: tuple[Kind, ...] = ("sr", "capture")
    send: tuple[str, ...] = ()


class OutboxTimes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """retry_seconds : before each further try; after the last one an object is a dead letter. commitment_seconds : how long a
    target's report on storage commitment is awaited before the target is asked by C-FIND.
    """

    retry_seconds: tuple[_Seconds, ...] = (30, 120, 600, 1800, 7200)
    commitment_seconds: _Seconds = 3600.0


class DicomSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The settings of the network.

    ae_title : how casewise is called. host : where the receiver listens. senders : who may send; empty: whoever reaches the
    receiver, which must then listen on this machine alone. nodes, web : by name, where to send and ask.
    """

    ae_title: str = "CASEWISE"
    host: str = "127.0.0.1"
    tls: Tls | None = None
    senders: tuple[Sender, ...] = ()
    nodes: dict[str, Node] = {}
    web: dict[str, WebNode] = {}
    receive: Receive = Receive()
    results: Results = Results()
    outbox: OutboxTimes = OutboxTimes()

    def __post_init__(self) -> None:
        check_title(self.ae_title)
        if both := set(self.nodes) & set(self.web):
            raise ValueError(f"{sorted(both)[0]!r} stands in nodes and in web; give one another name")
        asked = filter(None, (self.receive.ask_source, self.receive.priors_from))
        for name in (*self.results.send, *asked):
            if name not in self.systems:
                raise ValueError(f"{name!r} is not among the nodes ({', '.join(self.systems) or 'none'})")
        if self.receive.ask_source is not None and self.receive.ask_source not in self.nodes:
            raise ValueError(f"ask_source {self.receive.ask_source!r} is a DICOMweb service; name one of the nodes, for C-FIND")
        if not self.senders and not is_loopback(self.host):
            raise ValueError(f"{self.host} can be reached from other machines; list those that may send under [[senders]]")

    @property
    def systems(self) -> dict[str, Peer]:
        """Where to send and ask, by name."""
        return {**self.nodes, **self.web}

    @property
    def source(self) -> Node | None:
        """The node that is asked how many instances a series has; None where none is."""
        return None if self.receive.ask_source is None else self.nodes[self.receive.ask_source]

    @classmethod
    def load(cls, folder: Path) -> DicomSettings:
        """Of the archive in ``folder``; the defaults where it has no ``dicom.toml``. Raises UsageError, one sentence."""
        return read_settings(folder / FILE, cls)

    def peer(self, name: str) -> Peer:
        """A system by its name here, or as :func:`casewise.exchange.node.parse_peer` takes it. Raises UsageError."""
        if name in self.systems:
            return self.systems[name]
        if "@" in name or "://" in name:
            return parse_peer(name)
        known = ", ".join(self.systems) or "none yet"
        raise UsageError(f"{name!r} is no system of {FILE} ({known}); give one of these, AETITLE@host:port or an https:// address.")
