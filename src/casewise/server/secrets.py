"""Secrets that the server hands out (cookies, tokens, links): 256 random bits each, of which only a hash is stored."""

from __future__ import annotations

import hashlib
import secrets


def new_secret() -> str:
    """43 letters that stand in URLs and headers as they are."""
    return secrets.token_urlsafe(32)


def hash_of(secret: str) -> str:
    """What is stored, and looked up. SHA-256 is enough: the secret is random, so it cannot be guessed from its hash."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
