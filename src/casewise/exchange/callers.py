"""Who may open an association, and who may send objects on it."""

from __future__ import annotations

import ipaddress

from casewise.exchange.settings import DicomSettings

CALLING_UNKNOWN, CALLED_UNKNOWN = 3, 7  # diagnostics of a rejection (PS3.8, 9.3.4)


def rejection(settings: DicomSettings, called: str, calling: str, address: str) -> int | None:
    """Why an association is rejected: a diagnostic; None where it is taken.

    Where senders are listed, they may open one, and the nodes, by their titles: a node reports there on the storage commitment that
    it was asked for.
    """
    if called.strip() != settings.ae_title.strip():
        return CALLED_UNKNOWN
    known = may_send(settings, calling, address) or calling.strip() in {node.ae_title.strip() for node in settings.nodes.values()}
    return None if known else CALLING_UNKNOWN


def may_send(settings: DicomSettings, calling: str, address: str) -> bool:
    """Whether objects are taken from a system of this AE title at this IP address."""
    if not settings.senders:
        return True
    return any(
        sender.ae_title.strip() == calling.strip() and (sender.address is None or _ip(sender.address) == _ip(address))
        for sender in settings.senders
    )


def _ip(text: str) -> object:
    """Comparable: ``::ffff:10.0.0.1`` is 10.0.0.1."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return text
    return getattr(address, "ipv4_mapped", None) or address
