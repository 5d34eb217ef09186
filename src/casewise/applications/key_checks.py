"""What a key of a declaration may hold, and the sentence where it holds something else."""

from __future__ import annotations

from casewise.errors import UsageError


def check_key(good: object, key: str, given: object, allowed: str) -> None:
    """Raises UsageError where ``good`` is false. allowed : what the key may hold, a clause."""
    if not good:
        raise wrong_key(key, given, allowed)


def wrong_key(key: str, given: object, allowed: str) -> UsageError:
    """The error of a key that holds what it may not, to be raised."""
    printed = list(given) if isinstance(given, tuple) else given
    return UsageError(f"{key} = {printed!r} is not allowed in an application's declaration: {allowed}.")
