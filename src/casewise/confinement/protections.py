"""What of the confinement holds on this system."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache

from casewise.confinement import landlock, seccomp


@dataclass(frozen=True)
class Protections:
    """landlock : version, 0 for none. namespaces, seccomp : whether they can be had.

    writes : foreign code writes in its own folder only. attributes : nor can it change permissions and times elsewhere.
    signals : it cannot signal what it did not start. others_hidden : it cannot look into this user's other processes.
    ends : nothing outlives its call. memory : all that it starts counts.
    """

    landlock: int
    namespaces: bool
    seccomp: bool
    writes: bool
    attributes: bool
    signals: bool
    others_hidden: bool
    ends: bool
    memory: bool

    def sentence(self) -> str:
        """For people: what applications here can do, and what they cannot."""
        held = {
            "write outside their folder": self.writes,
            "change permissions elsewhere": self.attributes,
            "signal other processes": self.signals,
            "look into other processes": self.others_hidden,
            "live on after their call": self.ends,
        }
        can = [what for what, is_held in held.items() if not is_held]
        cannot = [what for what, is_held in held.items() if is_held]
        parts = [f"cannot {_joined(cannot, 'or')}"] if cannot else []
        parts += [f"CAN {_joined(can, 'and')}"] if can else []
        return f"On this system applications {', and '.join(parts)} (docs/how-to/confinement.md)."

    def to_json(self) -> dict[str, object]:
        return asdict(self)


def _joined(words: list[str], last: str) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}"


@cache
def protections() -> Protections:
    """Found out once, by trying."""
    version, separate, filters = landlock.version(), _namespaces(), seccomp.available()
    linux = sys.platform == "linux"
    return Protections(
        landlock=version,
        namespaces=separate,
        seccomp=filters,
        writes=version > 0 or separate,
        attributes=separate,
        signals=separate or landlock.holds_signals() or filters,
        others_hidden=separate or version > 0 or filters,
        ends=linux,
        memory=linux,
    )


def _namespaces() -> bool:
    """Tried in a process of its own: this one may have threads, and a copy of it must not."""
    if sys.platform != "linux":
        return False
    import subprocess

    code = "import sys; from casewise.confinement.namespaces import possible; sys.exit(not possible())"
    with suppress(OSError, subprocess.SubprocessError):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        return subprocess.run([sys.executable, "-P", "-c", code], env=environment, capture_output=True, timeout=30).returncode == 0  # noqa: S603
    return False
