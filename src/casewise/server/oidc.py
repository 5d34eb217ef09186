"""Sign-in by an OpenID Connect provider: authorization code with PKCE, through Authlib.

What a sign-in began with (state, nonce, PKCE verifier) is kept here, in memory, for ten minutes; the browser holds a cookie that
belongs to it, so that nobody can be signed in by an answer meant for another browser.
"""

from __future__ import annotations

import hmac
import logging
import os
import threading
import time
import warnings
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from casewise.errors import CasewiseError, UsageError
from casewise.server.access import ROLES
from casewise.server.secrets import hash_of, new_secret
from casewise.server.settings import Oidc

STARTED_SECONDS = 600
_MOST = 10_000  # sign-ins that have begun; the oldest is forgotten
_CLOCKS_DIFFER = 60  # seconds
_TIMEOUT = 10.0
# With a key of the provider's alone: neither "none" nor a signature by the client's own secret.
_SIGNATURES = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
_log = logging.getLogger(__name__)


class SignInError(CasewiseError):
    """A sign-in that the provider or this server refused."""


@dataclass(frozen=True)
class Identity:
    """name : as the provider writes it, in small letters, with a dot for an @. subject : who they are there, for ever."""

    name: str
    subject: str
    role: str


@dataclass(frozen=True)
class _Started:
    browser: str  # hash of the browser's cookie
    nonce: str
    verifier: str
    redirect: str
    next: str
    until: float


class Provider:
    """One identity provider. Raises UsageError where the client's secret is not in the environment."""

    def __init__(self, settings: Oidc) -> None:
        secret = os.environ.get(settings.secret_variable)
        if not secret:
            name = settings.secret_variable
            msg = f"The environment variable {name} is not set; it holds the secret of the client at {settings.issuer}."
            raise UsageError(msg)
        self.settings = settings
        self._client: Any = _oauth().register(
            "provider",
            client_id=settings.client_id,
            client_secret=secret,
            server_metadata_url=f"{settings.issuer.rstrip('/')}/.well-known/openid-configuration",
            client_kwargs={"scope": settings.scope, "code_challenge_method": "S256", "timeout": _TIMEOUT},
        )
        self._started: OrderedDict[str, _Started] = OrderedDict()
        self._lock = threading.Lock()

    async def begin(self, redirect: str, next: str) -> tuple[str, str]:
        """Where to send the browser, and the value of the cookie that it must bring back. redirect : where it comes back to."""
        try:
            await self._discover()
            made = await self._client.create_authorization_url(redirect)
        except SignInError:
            raise
        except Exception as error:
            raise self._unreachable(error) from error
        cookie = new_secret()
        until = time.monotonic() + STARTED_SECONDS
        started = _Started(hash_of(cookie), made["nonce"], made["code_verifier"], redirect, next, until)
        with self._lock:
            self._started[made["state"]] = started
            while len(self._started) > _MOST:
                self._started.popitem(last=False)
        return str(made["url"]), cookie

    async def finish(self, query: Mapping[str, str], cookie: str) -> tuple[Identity, str]:
        """Who has signed in, and where they wanted to go. Raises SignInError, one sentence."""
        with self._lock:
            started = self._started.pop(query.get("state", ""), None)
        if started is None or started.until < time.monotonic() or not hmac.compare_digest(started.browser, hash_of(cookie)):
            msg = "This sign-in was not begun in this browser, or is older than 10 minutes; begin again."
            raise SignInError(msg)
        if "error" in query or not query.get("code"):
            msg = "The identity provider refused the sign-in."
            raise SignInError(msg)
        try:
            claims = await self._claims(query["code"], started)
        except SignInError:
            raise
        except Exception as error:
            _log.warning("sign-in by %s refused: %s: %s", self.settings.issuer, type(error).__name__, error)
            msg = "The identity provider's answer is not valid; begin again, and ask an administrator if it happens again."
            raise SignInError(msg) from error
        return self._identity(claims), started.next

    async def _claims(self, code: str, started: _Started) -> dict[str, Any]:
        """The ID token's claims, all checked; those of the userinfo endpoint where the ID token lists no groups."""
        token = await self._client.fetch_access_token(started.redirect, code=code, code_verifier=started.verifier)
        options = {
            "iss": {"essential": True, "value": self.settings.issuer},
            "aud": {"essential": True, "value": self.settings.client_id},
            "sub": {"essential": True},
        }
        found = await self._client.parse_id_token(token, nonce=started.nonce, claims_options=options, leeway=_CLOCKS_DIFFER)
        claims = dict(found or {})
        if not claims.get("sub"):
            msg = "the answer holds no ID token"
            raise ValueError(msg)
        metadata = await self._client.load_server_metadata()
        if self.settings.groups_claim not in claims and metadata.get("userinfo_endpoint"):
            more = dict(await self._client.userinfo(token=token))
            if more.get("sub") != claims["sub"]:
                msg = "the userinfo endpoint answers for somebody else"
                raise ValueError(msg)
            claims = {**more, **claims}
        return claims

    def _identity(self, claims: Mapping[str, Any]) -> Identity:
        name = str(claims.get(self.settings.name_claim) or "").strip().lower().replace("@", ".")
        given = claims.get(self.settings.groups_claim) or []
        groups = {given} if isinstance(given, str) else {str(group) for group in given}
        roles = [role for group, role in self.settings.roles.items() if group in groups]
        if not name:
            msg = f"The identity provider does not say your name (claim {self.settings.name_claim}); ask an administrator."
            raise SignInError(msg)
        if not roles:
            msg = "None of your groups at the identity provider may use this server; ask an administrator."
            raise SignInError(msg)
        return Identity(name, f"{self.settings.issuer} {claims['sub']}", max(roles, key=ROLES.index))

    async def _discover(self) -> None:
        """The provider's own description; only signatures by its key are taken, whatever it lists."""
        metadata = await self._client.load_server_metadata()
        if metadata.get("issuer") != self.settings.issuer:
            msg = f"The identity provider calls itself {metadata.get('issuer')!r}, and server.toml {self.settings.issuer!r}."
            raise SignInError(msg)
        listed = metadata.get("id_token_signing_alg_values_supported") or ["RS256"]
        metadata["id_token_signing_alg_values_supported"] = [name for name in listed if name in _SIGNATURES] or ["RS256"]

    def _unreachable(self, error: Exception) -> SignInError:
        _log.warning("%s cannot be asked: %s: %s", self.settings.issuer, type(error).__name__, error)
        return SignInError("The identity provider cannot be reached now; try again later, or ask an administrator.")


def _oauth() -> Any:
    """Authlib's client, imported where a provider is set up; it warns its own users of what a later version will import."""
    with warnings.catch_warnings():
        import authlib.deprecate  # it switches its warnings on

        warnings.simplefilter("ignore", authlib.deprecate.AuthlibDeprecationWarning)
        from authlib.integrations.starlette_client import OAuth
    return OAuth()
