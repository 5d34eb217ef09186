"""Sending files by STOW-RS, one a request: each has its own outcome, and one alone is held in memory."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

from casewise.errors import CasewiseError
from casewise.exchange.node import WebNode
from casewise.exchange.outcomes import MOST_CUTS, Outcome, by_status, gone, no_dicom, not_tried
from casewise.exchange.quiet import quiet
from casewise.exchange.web_client import web_client
from casewise.formats.dicom.file import dataset_of

_FOR_GOOD = (400, 405, 409, 410, 411, 413, 414, 415, 422)  # HTTP statuses that stand for the request as it is


def stow(node: WebNode, paths: Sequence[Path]) -> Generator[Outcome]:
    """Each file's outcome as soon as it is known, in the order of the files. Raises nothing for a service that is away.

    After three requests in a row without an answer, or one without a connection, the rest are not tried.
    """
    waiting = list(paths)
    broken, cuts = "", 0
    try:
        client = web_client(node)
    except CasewiseError as error:
        broken, cuts = str(error), MOST_CUTS
    while waiting and cuts < MOST_CUTS:
        with quiet():
            outcome, broken = _stored(client, node, waiting.pop(0))
        cuts = (cuts + 1 if outcome.tried else MOST_CUTS) if broken else 0
        yield outcome
    yield from not_tried(waiting, broken)


def _stored(client: Any, node: WebNode, path: Path) -> tuple[Outcome, str]:
    """The file's outcome, and where no answer came the sentence that says so."""
    from requests import HTTPError, RequestException

    try:
        dataset = dataset_of(path)
        uid = str(dataset.SOPInstanceUID)
    except OSError:
        return gone(path), ""
    except Exception:  # pydicom raises of any kind for what is no DICOM file
        return no_dicom(path), ""
    try:
        return _by_answer(path, node, uid, client.store_instances([dataset])), ""
    except HTTPError as error:
        return _by_http(path, node, uid, error.response)
    except (RequestException, OSError) as error:
        away = _never_connected(error)
        broken = f"{node} cannot be reached." if away else f"{node} did not answer ({type(error).__name__})."
        return Outcome(path, "failed", broken, tried=not away), broken
    except Exception:  # the answer is no DICOM JSON or XML; what became of the file is not known
        return Outcome(path, "failed", f"{node} answered with something that is no answer to STOW-RS."), ""


def _never_connected(error: Exception) -> bool:
    from requests.exceptions import ConnectTimeout, SSLError
    from urllib3.exceptions import NewConnectionError

    reason = getattr(error.args[0] if error.args else None, "reason", None)
    return isinstance(error, ConnectTimeout | SSLError) or isinstance(reason, NewConnectionError)


def _by_answer(path: Path, node: WebNode, uid: str, answer: Any) -> Outcome:
    for item in answer.get("FailedSOPSequence") or ():
        if str(item.get("ReferencedSOPInstanceUID", uid)) == uid:
            return by_status(path, str(node), int(item.get("FailureReason") or 0x0110))
    for item in answer.get("ReferencedSOPSequence") or ():
        if str(item.get("ReferencedSOPInstanceUID", uid)) == uid:
            return by_status(path, str(node), int(item.get("WarningReason") or 0))
    return Outcome(path, "accepted")  # a service may leave the list out where all went well


def _by_http(path: Path, node: WebNode, uid: str, response: Any) -> tuple[Outcome, str]:
    """By an HTTP status of 400 or more; the body of a 409 (conflict) says why."""
    from pydicom import Dataset

    code = int(response.status_code)
    try:
        outcome = _by_answer(path, node, uid, Dataset.from_json(response.json()))
        if outcome.state != "accepted":
            return outcome, ""
    except Exception:  # noqa: S110 - a body of any other kind says nothing about the file
        pass
    if code in _FOR_GOOD:
        return Outcome(path, "refused", f"{node} refused the object (HTTP {code})."), ""
    sentence = {
        401: f"{node} asks for other credentials (HTTP 401).",
        403: f"{node} does not allow casewise to store (HTTP 403).",
        404: f"{node} knows no such address (HTTP 404); its url is that below which studies lies.",
    }.get(code, f"{node} could not store the object (HTTP {code}).")
    return Outcome(path, "failed", sentence), sentence
