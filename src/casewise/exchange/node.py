"""Systems on the other end of the wire: a DICOM node (DIMSE), or a DICOMweb service."""

from __future__ import annotations

import ipaddress
import os
import re
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from casewise.errors import UsageError

_NODE = re.compile(r"(?P<title>[^@]+)@(?P<host>\[[0-9a-fA-F:.]+\]|[^:\[\]]+):(?P<port>\d{1,5})")


class Tls(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """PEM files. ca : the authorities whose certificates are believed; None: the system's, and of a receiver: no client's
    certificate is asked for. certificate, key : one's own, to be shown to the other end.
    """

    certificate: Path | None = None
    key: Path | None = None
    ca: Path | None = None

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("tls needs certificate and key together")


class Node(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A DICOM node.

    ae_title, host, port : where it listens. own_title : how casewise calls itself there; None: the settings' title.
    commitment : whether it is asked to commit to storing what it was sent.
    """

    ae_title: str
    host: str
    port: int
    tls: Tls | None = None
    own_title: str | None = None
    commitment: bool = False

    def __post_init__(self) -> None:
        check_title(self.ae_title)
        if self.own_title is not None:
            check_title(self.own_title)
        if not 1 <= self.port <= 65535:
            raise ValueError(f"the port {self.port} is none; a port is a number from 1 to 65535")

    def __str__(self) -> str:
        return f"{self.ae_title}@{self.host}:{self.port}"


class WebNode(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A DICOMweb service.

    url : of its root, below which ``studies`` lies. token_variable : the environment variable that holds a
    bearer token. user, password_variable : for services with passwords; secrets never stand in a file. ca : of its certificate.
    """

    url: str
    token_variable: str | None = None
    user: str | None = None
    password_variable: str | None = None
    ca: Path | None = None

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.username or parts.password:
            raise ValueError("the url holds a user or password; name them with user and password_variable")
        if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
            raise ValueError(f"the url {self.url!r} must begin with https://, or http:// on this machine")
        if (self.user is None) != (self.password_variable is None):
            raise ValueError("user and password_variable go together")

    def __str__(self) -> str:
        return self.url

    def secret(self, variable: str) -> str:
        """The value of an environment variable. Raises UsageError where it is not set."""
        value = os.environ.get(variable, "").strip()
        if not value:
            raise UsageError(f"{self.url} needs a secret that is not there: set the environment variable {variable}.")
        return value


Peer = Node | WebNode


def parse_peer(text: str) -> Peer:
    """``AETITLE@host:port``, or a DICOMweb address. Raises UsageError, one sentence."""
    try:
        if text.startswith(("http://", "https://")):
            return WebNode(text.rstrip("/"))
        found = _NODE.fullmatch(text)
        if found is None:
            raise ValueError("it is neither AETITLE@host:port nor an https:// address")
        return Node(found["title"], found["host"].strip("[]"), int(found["port"]))
    except ValueError as error:
        raise UsageError(f"{text!r} names no DICOM system: {error}.") from error


def check_title(title: str) -> None:
    """Raises ValueError for what is no AE title (DICOM PS3.5: 1 to 16 characters of ASCII, no backslash, not blank)."""
    if not (title.strip() and len(title) <= 16 and title.isascii() and title.isprintable() and "\\" not in title):
        raise ValueError(f"{title!r} is no AE title, which has 1 to 16 letters, digits and signs of ASCII, and no backslash")


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
