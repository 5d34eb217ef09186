"""Whether another system answers: C-ECHO to a node, a question of one study to a DICOMweb service."""

from __future__ import annotations

from casewise.errors import CasewiseError
from casewise.exchange.association import echo
from casewise.exchange.node import Node, Peer, WebNode
from casewise.exchange.quiet import quiet
from casewise.exchange.web_client import web_client


class UnreachableError(CasewiseError):
    """A system does not answer as it should."""


def reach(peer: Peer, own_title: str) -> None:
    """Raises CasewiseError, one sentence, where the system cannot be reached, or does not let casewise in."""
    if isinstance(peer, Node):
        echo(peer, own_title)
    else:
        _ask(peer)


def _ask(node: WebNode) -> None:
    from requests import HTTPError, RequestException

    client = web_client(node)
    try:
        with quiet():
            client.search_for_studies(limit=1, fields=["StudyInstanceUID"])
    except HTTPError as error:
        status = "unknown" if error.response is None else error.response.status_code
        raise UnreachableError(f"{node} answered with HTTP status {status}; check its url and the credentials.") from error
    except (RequestException, OSError) as error:
        raise UnreachableError(f"{node} cannot be reached ({type(error).__name__}); check its url, and that it runs.") from error
    except Exception as error:  # the answer is no DICOM JSON
        raise UnreachableError(f"{node} answered, but not as a DICOMweb service does; check its url.") from error
