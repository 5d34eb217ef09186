"""Where the receiver listens: a port that is free, chosen by the server before the receiver's process begins.

The process is given the port, so that it listens at the same one when it is started again.
"""

from __future__ import annotations

import os
import socket

from casewise.errors import UsageError
from casewise.exchange.node import Node
from casewise.exchange.settings import DicomSettings


def listening_at(settings: DicomSettings, port: int) -> Node:
    """Casewise as a node of the network. port : 0 takes a free one. Raises UsageError where nothing can listen there."""
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(settings.host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as tried:
            if os.name == "posix":  # elsewhere it would let two processes share a port
                tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(place)
            return Node(settings.ae_title, settings.host, tried.getsockname()[1])
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        msg = (
            f"casewise cannot receive at {settings.host}, port {port}: {reason}. Give another --dicom-port, or host in dicom.toml."
        )
        raise UsageError(msg) from error
