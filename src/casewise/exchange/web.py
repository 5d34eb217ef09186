"""A DICOMweb service as a source: asked by QIDO-RS page by page, fetched from by WADO-RS, written to disk as it comes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO

from casewise.exchange.found import MOST_ANSWERS, MOST_SILENT, AwayError, Listed, Series, SourceError, Study, too_many, with_uids
from casewise.exchange.node import WebNode
from casewise.exchange.parts import Parts
from casewise.exchange.questions import Found, Questions
from casewise.exchange.quiet import quiet
from casewise.exchange.taking import Taker
from casewise.exchange.web_client import TIMES, web_client, web_session

_PAGE = 500
_CHUNK = 1 << 20
_NO_JSON = "{node} answers with what is no DICOM JSON; its url is that below which studies lies."
_ACCEPT = 'multipart/related; type="application/dicom"; transfer-syntax=*'  # as the service keeps it


class WebSource(Questions):
    """A DICOMweb service as a source of studies. Raises UsageError where a secret or certificate is not there.

    Its questions stand in addresses, as the standard has it: a patient's identifier too, where it is asked for.
    """

    def __init__(self, node: WebNode) -> None:
        self._node = node
        self._session = web_session(node)
        self._client = web_client(node, self._session)

    def close(self) -> None:
        self._session.close()

    def __str__(self) -> str:
        return str(self._node)

    def bring(self, taker: Taker, classes: Sequence[str], uids: Sequence[str]) -> str | None:
        """By WADO-RS, as the service keeps the instances: the series, or one instance after the other where they are named.

        One at which the service breaks off holds up no other; where it does not answer three times in a row, it is away.
        """
        series = f"{self._node.url}/studies/{taker.study.uid}/series/{taker.wanted.uid}"
        why, silent = None, 0
        for address in [f"{series}/instances/{uid}" for uid in uids] or [series]:
            try:
                self._retrieve(address, taker)
                silent = 0
            except SourceError as error:
                silent = silent + 1 if isinstance(error, AwayError) else 0
                if taker.error is not None or len(uids) < 2 or silent == MOST_SILENT:
                    raise
                why = str(error)
        return why

    def _ask(self, kind: type[Found], keys: Mapping[str, str]) -> list[Found]:
        """Page after page, until one brings nothing new: not every service knows pages."""
        search = {
            Study.LEVEL: self._client.search_for_studies,
            Series.LEVEL: self._client.search_for_series,
            Listed.LEVEL: self._client.search_for_instances,
        }[kind.LEVEL]
        place, filters = ((), dict(keys)) if kind is Study else (tuple(keys.values()), {})
        found: dict[Found, None] = {}
        received = 0
        while True:
            with _answered(self._node), quiet():
                page = search(*place, limit=_PAGE, offset=received, fields=list(kind.ATTRIBUTES), search_filters=filters)
                before = len(found)
                found |= {kind.of(with_uids(_values(item, kind.ATTRIBUTES), keys)): None for item in page}
            received += len(page)
            if len(found) > MOST_ANSWERS:
                raise too_many(self._node)
            if not page or len(found) == before:
                return list(found)

    def _retrieve(self, address: str, taker: Taker) -> None:
        from python_multipart.multipart import parse_options_header

        def each(part: BinaryIO) -> None:
            taker.take(part)
            taker.report()
            if taker.error is not None:
                raise taker.error

        with _answered(self._node), self._session.get(address, headers={"Accept": _ACCEPT}, stream=True, timeout=TIMES) as answer:
            answer.raise_for_status()
            kind, options = parse_options_header(answer.headers.get("Content-Type", ""))
            boundary = options.get(b"boundary")
            if kind not in (b"multipart/related", b"application/dicom") or (kind == b"multipart/related" and not boundary):
                raise SourceError(f"{self._node} answers with what is no DICOM object.")
            parts = Parts(boundary if kind == b"multipart/related" else None, taker.folder, each)
            try:
                for chunk in answer.iter_content(_CHUNK):
                    parts.write(chunk)
                parts.end()
            finally:
                parts.close()


@contextmanager
def _answered(node: WebNode) -> Iterator[None]:
    """SourceError for whatever the service or the network between does wrong."""
    from requests import HTTPError, JSONDecodeError, RequestException, TooManyRedirects

    try:
        yield
    except HTTPError as error:
        raise SourceError(_refusal(node, getattr(error.response, "status_code", 0))) from None
    except TooManyRedirects:
        raise SourceError(f"{node} sends casewise to another address; give the address that it means.") from None
    except RequestException as error:
        if isinstance(error, JSONDecodeError):
            raise SourceError(_NO_JSON.format(node=node)) from None
        reason = type(error).__name__
        raise AwayError(f"{node} cannot be reached, or broke off ({reason}); check its address and try again.") from None
    except (ValueError, TypeError, KeyError, AttributeError):  # neither the error nor the answer is quoted: it may be of a patient
        raise SourceError(_NO_JSON.format(node=node)) from None


def _refusal(node: WebNode, code: int) -> str:
    why = {
        401: "asks for other credentials; set token_variable, or user and password_variable, in dicom.toml",
        403: "does not allow casewise to fetch; ask its administrator",
        404: "knows no such address or object; its url is that below which studies lies",
    }
    return f"{node} {why.get(code, 'cannot answer; try again later')} (HTTP {code})."


def _values(item: Any, attributes: Sequence[str]) -> dict[str, str]:
    """The attributes of a match in DICOM JSON as text, several values parted by a backslash."""
    from pydicom.datadict import tag_for_keyword

    found = {}
    for keyword in attributes:
        values = (item.get(f"{tag_for_keyword(keyword):08X}") or {}).get("Value") or []
        found[keyword] = "\\".join(str(value) for value in values if value is not None)
    return found
