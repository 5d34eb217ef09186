"""``casewise users``: the people who sign in at an archive's server."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from casewise.cli.common import Answer, answering, plural
from casewise.cli.options import ArchiveArgument, JsonOption, argument, option
from casewise.cli.serve import check_installed
from casewise.errors import UsageError

if TYPE_CHECKING:
    from casewise.server.store import Store
    from casewise.server.users import User

_URL = "http://127.0.0.1:8080"
Action = Literal["list", "add", "role", "password", "disable", "enable", "link"]


def users(
    archive: ArchiveArgument,
    action: Annotated[Action, argument("ACTION", "What to do.", default="list")] = "list",
    name: Annotated[str | None, argument("NAME", "Whom it is about.")] = None,
    role: Annotated[
        Literal["reader", "annotator", "admin"], option("--role", help="What the person may do, for add and role.", default=True)
    ] = "annotator",
    url: Annotated[str, option("--url", metavar="URL", help="For link: where the server is.", default=True)] = _URL,
    as_json: JsonOption = False,
) -> None:
    """List the people who sign in at an archive's server, add them, or change what they may do.

    A reader sees cases and results, an annotator also draws, uploads and starts analyses, an admin also trains models and keeps
    users. The first user is an admin. Passwords have 12 to 200 characters and are asked for, or read from the first line of stdin;
    they never stand on the command line. A change holds at once, also in a server that is running. disable ends a person's logins
    and tokens. link prints another one-time link for an archive that has no users.

    [bold]Examples[/bold]

      casewise users my-archive
      casewise users my-archive add anna --role admin
      casewise users my-archive password anna
      casewise users my-archive disable ben
      casewise users my-archive link

    Read on in docs/how-to/users-and-sign-in.md.
    """
    check_installed("users")
    check_installed("audit")
    with answering(as_json) as answer:
        from casewise.archive import Archive
        from casewise.server.store import Store

        with Archive.open(archive) as opened:
            store = Store.open(opened.folder)
            try:
                _act(answer, store, action, name, role, url)
            finally:
                store.close()


def _act(answer: Answer, store: Store, action: Action, name: str | None, role: str, url: str) -> None:
    from casewise.server.users import any_users, everyone

    if action == "list":
        found = everyone(store)
        lines = [_line(user) for user in found] or ["No users: whoever opens the one-time link of `casewise serve` is its admin."]
        answer.give({"users": [_document(user) for user in found]}, *lines)
        return
    if action == "link":
        if any_users(store):
            msg = "This archive has users; they sign in by name and password."
            raise UsageError(msg)
        from casewise.server.logins import one_time_link

        link = one_time_link(store, url)
        answer.give({"link": link}, f"Open this link once, within 10 minutes, to sign in: {link}")
        return
    if name is None:
        msg = f"Say whom: casewise users ARCHIVE {action} NAME."
        raise UsageError(msg)
    user = _change(store, action, name, role)
    answer.give(_document(user), _line(user))


def _change(store: Store, action: Action, name: str, role: str) -> User:
    from casewise.server.audit import record
    from casewise.server.users import check_name, find, save

    check_name(name)
    known = find(store, name)
    if action == "add":
        if known is not None:
            msg = f"There is a user {name} already; change them with role, password, disable or enable."
            raise UsageError(msg)
        saved = save(store, name, role, password=_password())
    elif known is None:
        msg = f"There is no user {name}; add them with add."
        raise UsageError(msg)
    elif action == "role":
        saved = save(store, name, role, disabled=known.disabled)
    elif action == "password":
        saved = save(store, name, known.role, password=_password(), disabled=known.disabled)
    else:
        saved = save(store, name, known.role, disabled=action == "disable")
    record(store, "command line", "", f"{action} user", name)
    return saved


def _password() -> str:
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
    return sys.stdin.readline().rstrip("\r\n")


def _document(user: User) -> dict[str, object]:
    return {"name": user.name, "role": user.role, "source": user.source, "disabled": user.disabled}


def _line(user: User) -> str:
    notes = ["disabled"] * user.disabled + ["signs in at the identity provider"] * (user.source != "own")
    return f"{user.name}: {user.role}" + (f" ({', '.join(notes)})" if notes else "")


def audit(
    archive: ArchiveArgument,
    as_json: JsonOption = False,
) -> None:
    """Check that the audit log of an archive's server is as it was written.

    Every row's hash covers the row and the one before it, and the last hash of each day stands in the archive's audit-days.txt.
    A row that was changed, removed or added later is named, with exit code 1. Admins read and export the log on the page Admin.

    [bold]Examples[/bold]

      casewise audit my-archive

    Read on in docs/how-to/users-and-sign-in.md.
    """
    with answering(as_json) as answer:
        from casewise.archive import Archive
        from casewise.server.audit import verify
        from casewise.server.store import Store

        with Archive.open(archive) as opened:
            store = Store.open(opened.folder)
            try:
                rows, problem = verify(store)
            finally:
                store.close()
        answer.give({"rows": rows, "problem": problem}, problem or f"{plural(rows, 'row')}, all as they were written.")
        answer.failures += problem is not None
