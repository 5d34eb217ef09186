"""TLS for both ends of an association, by the PEM files of the settings."""

from __future__ import annotations

import ssl
from pathlib import Path

from casewise.errors import UsageError
from casewise.exchange.node import Tls


def client_context(tls: Tls) -> ssl.SSLContext:
    """For associations that are opened from here: the other end's certificate is checked. Raises UsageError."""
    try:
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=_text(tls.ca))
        if tls.certificate is not None:
            context.load_cert_chain(tls.certificate, tls.key)
    except (OSError, ValueError) as error:
        raise _unusable(tls, error) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def server_context(tls: Tls) -> ssl.SSLContext:
    """For the receiver. Where ``tls`` names authorities, a client without a certificate of theirs is turned away.

    Raises UsageError.
    """
    if tls.certificate is None:
        raise UsageError("The receiver's tls has no certificate; name certificate and key, or leave tls out.")
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls.certificate, tls.key)
        if tls.ca is not None:
            context.load_verify_locations(cafile=tls.ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ValueError) as error:
        raise _unusable(tls, error) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _unusable(tls: Tls, error: Exception) -> UsageError:
    files = ", ".join(str(path) for path in (tls.certificate, tls.key, tls.ca) if path is not None)
    reason = getattr(error, "strerror", None) or error
    return UsageError(f"The TLS files ({files}) cannot be used: {reason}; name PEM files that can be read and belong together.")
