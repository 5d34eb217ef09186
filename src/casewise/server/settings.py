"""``server.toml`` in the archive's folder: what a site sets once; the command's options come before it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from casewise.settings_file import read_settings

FILE = "server.toml"
OHIF_FILES = Path(__file__).parent / "ohif_files"  # where `make ohif` puts them
Role = Literal["reader", "annotator", "admin"]


class Oidc(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Sign-in by an OpenID Connect provider.

    secret_variable : the environment variable that holds the client's secret; it never stands in a file.
    roles : group of the provider → reader, annotator or admin. groups_claim : the claim that lists the groups. name_claim : the one
    that becomes the user's name. scope : what to ask for; some providers list groups only where it holds ``groups``.
    """

    issuer: str
    client_id: str
    secret_variable: str = "CASEWISE_OIDC_SECRET"  # noqa: S105  # a name, no secret
    roles: dict[str, Role] = {}
    groups_claim: str = "groups"
    name_claim: str = "preferred_username"
    scope: str = "openid profile email"

    def __post_init__(self) -> None:
        parts = urlsplit(self.issuer)
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in {"127.0.0.1", "::1", "localhost"}):
            msg = f"the issuer {self.issuer!r} must begin with https://"
            raise ValueError(msg)
        if "openid" not in self.scope.split():
            msg = f"the scope {self.scope!r} lacks openid"
            raise ValueError(msg)


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The server's settings.

    show_names : whether pages show patients' names. open_clients : whether desktop clients (MONAI Label, nnInteractive) on this
    machine need no sign-in while there are no users. origins : pages of other origins that may call (OHIF elsewhere).
    image_bytes, sessions, session_bytes : how much of images, how many interactive sessions, and how much of these with their
    images, are held in memory at once; the others are on disk.
    upload_bytes : the largest upload. idle_minutes, login_hours : after which a person signs in again.
    requests_per_second : of one token. url : the address by which people reach the server behind a proxy. ohif : the folder of
    OHIF's built files (``dist`` of @ohif/app), a relative one beside ``server.toml``; None: where ``make ohif`` puts them.
    """

    show_names: bool = False
    open_clients: bool = True
    origins: tuple[str, ...] = ()
    image_bytes: int = 2 << 30
    sessions: int = 32
    session_bytes: int = 1 << 30
    upload_bytes: int = 2 << 30
    idle_minutes: int = 30
    login_hours: int = 12
    requests_per_second: int = 120
    url: str | None = None
    ohif: Path | None = None
    oidc: Oidc | None = None

    @property
    def ohif_files(self) -> Path | None:
        """Where OHIF's files lie; None where they are not there."""
        found = self.ohif or OHIF_FILES
        return found if (found / "index.html").is_file() else None

    @classmethod
    def load(cls, folder: Path) -> Settings:
        """Of the archive in ``folder``; the defaults where it has no ``server.toml``. Raises UsageError, one sentence."""
        return read_settings(folder / FILE, cls)
