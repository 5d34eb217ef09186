"""At which addresses a server answers, and whether a request comes from this machine or from our own page."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

from casewise.server.settings import Settings

_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:(?P<port>[0-9]{1,5}))?")
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")


@dataclass(frozen=True)
class Here:
    """Under which address a request reached us. origin : ``scheme://host[:port]``, as a browser writes it."""

    origin: str
    secure: bool
    port: int

    @property
    def cookie(self) -> str:
        """The login cookie's name. Cookies are shared by all ports of a host: two servers on one machine need two names."""
        return "__Host-casewise" if self.secure else f"casewise-{self.port}"


def here(scope: Scope, settings: Settings) -> Here | None:
    """None where the Host header is neither a loopback name nor that of ``settings.url``: a page elsewhere may have had its name
    resolved to our address (DNS rebinding).
    """
    given = Headers(scope=scope).getlist("host")
    if len(given) != 1:
        return None
    host = given[0].lower()
    parts = _HOST.fullmatch(host)
    if parts is None:
        return None
    name, port = parts["name"].strip("[]"), int(parts["port"] or 0)
    public = urlsplit(settings.url or "")
    if public.netloc and host == public.netloc.lower():
        return _here(public.scheme, parts["name"], port)
    if is_loopback(name) or name == public.hostname:
        return _here(scope["scheme"], parts["name"], port)
    return None


def is_loopback(name: str) -> bool:
    """Whether a host's name or number means this machine."""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")


def from_this_machine(scope: Scope, settings: Settings) -> bool:
    """Whether the client runs on this machine, as far as can be known: not through a proxy, and not at a server that has a public
    address.
    """
    client = scope.get("client")
    public = urlsplit(settings.url or "").hostname
    if client is None or not is_loopback(client[0]) or not (public is None or is_loopback(public)):
        return False
    headers = Headers(scope=scope)
    return not any(name in headers for name in _FORWARDED)


def _here(scheme: str, name: str, port: int) -> Here:
    usual = 443 if scheme == "https" else 80
    port = port or usual
    return Here(f"{scheme}://{name}" if port == usual else f"{scheme}://{name}:{port}", scheme == "https", port)
