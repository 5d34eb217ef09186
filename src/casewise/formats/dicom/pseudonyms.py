"""Pseudonyms of patients: the same for one patient's images, and worth nothing without the key that they were made with.

A plain hash of a patient's identifier is no pseudonym: identifiers are short, and all of them are hashed in a minute. ``read``
makes pseudonyms with a key of this process, forgotten at its end. What is to last is made anew with a key of its own
(:func:`under`), which an archive keeps.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

_OF_PROCESS = secrets.token_bytes(32)
_digests: dict[str, str] = {}  # pseudonym of this process → digest of the identifier


def pseudonym_of(identifier: str, issuer: str = "") -> str:
    """The pseudonym, in this process, of who has this identifier at this issuer."""
    digest = hashlib.blake2b(f"{identifier}\n{issuer}".encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    pseudonym = keyed(_OF_PROCESS, digest)
    _digests[pseudonym] = digest
    return pseudonym


def under(key: bytes, pseudonym: str) -> str | None:
    """The pseudonym with ``key`` of who has the given one in this process; None for one that another process made."""
    digest = _digests.get(pseudonym)
    return None if digest is None else keyed(key, digest)


def keyed(key: bytes, digest: str) -> str:
    """HMAC-SHA-256 of a digest of 16 hexadecimal digits, cut to as many."""
    return hmac.new(key, digest.encode(), hashlib.sha256).hexdigest()[:16]
