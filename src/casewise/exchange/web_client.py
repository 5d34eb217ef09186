"""A client of a DICOMweb service, with its certificate and its secrets."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from casewise.errors import UsageError
from casewise.exchange.node import WebNode, is_loopback

TIMES = (10.0, 120.0)  # seconds to connect, and to wait for an answer
_WHOLE = 1 << 40  # a body goes out in one piece, with its length: not every service takes chunks


def web_client(node: WebNode, session: Any = None) -> Any:
    """A ``DICOMwebClient`` over a :func:`web_session` (a new one where none is given), which does not try again on its own."""
    from dicomweb_client.web import DICOMwebClient

    client = DICOMwebClient(node.url, session=session or web_session(node), chunk_size=_WHOLE, timeout=TIMES)
    client.set_http_retry_params(retry=False)
    return client


def web_session(node: WebNode) -> Any:
    """A ``requests.Session`` with what the service wants to see. Raises UsageError where a secret or the certificate is not there.

    It follows no redirection: that would take patients' data to where nobody set.
    """
    import requests

    session = requests.Session()
    session.max_redirects = 0
    session.headers["Accept"] = "application/dicom+json"
    if is_loopback(urlsplit(node.url).hostname or ""):
        session.trust_env = False  # a proxy is for what lies outside
    if node.ca is not None:
        if not node.ca.is_file():
            raise UsageError(f"The certificate {node.ca} of {node} is not there; mend ca, or leave it out for the system's.")
        session.verify = str(node.ca)
    if node.token_variable is not None:
        session.auth = _Bearer(node.secret(node.token_variable))
    elif node.user is not None and node.password_variable is not None:
        session.auth = (node.user, node.secret(node.password_variable))
    return session


class _Bearer:
    """A session's ``auth`` rather than a header of it: a ``.netrc`` would overwrite the header."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: Any) -> Any:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request
