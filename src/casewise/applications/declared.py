"""What an application says of itself: which images it takes, what it looks for, how it runs and how much it may use."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from casewise.applications.key_checks import check_key
from casewise.applications.node_run import NodeRun
from casewise.exchange.node import is_loopback
from casewise.names import same_category

ANY = "*"
ON_REQUEST = "on request"
RUNTIMES = ("docker", "podman")
SENDS = ("nifti", "file")
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# What docker and podman take; the first character keeps an image's name from being read as an option.
_CONTAINER = re.compile(r"[A-Za-z0-9][\w./:@-]{0,254}")


@dataclass(frozen=True)
class PythonRun:
    """A Python object, ``module:object``: a class or function that is called with the settings, or an instance.

    What it gives is a :class:`casewise.applications.Application`.
    environment : names of variables of this process that it may see besides those that libraries look for.
    """

    target: str
    environment: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_key(_TARGET.fullmatch(self.target), "python", self.target, "it is module:object, such as mypackage.nodules:Nodules")
        _check_variables(self.environment)

    @property
    def how(self) -> str:
        return f"Python {self.target}"


@dataclass(frozen=True)
class CommandRun:
    """A program by its argument list; no shell sees it. ``{in}``, ``{out}`` stand for its folders, ``{here}`` for ``here``.

    environment : names of variables of this process that the program may see besides PATH and the language's.
    """

    argv: tuple[str, ...]
    environment: tuple[str, ...] = ()
    here: Path | None = None

    def __post_init__(self) -> None:
        good = bool(self.argv) and all(self.argv) and not any("\0" in word for word in self.argv)
        check_key(good, "command", self.argv, 'it is a list of non-empty words, such as ["python3", "{here}/nodules.py"]')
        _check_variables(self.environment)

    @property
    def how(self) -> str:
        return f"command {self.argv[0]}"


@dataclass(frozen=True)
class ContainerRun:
    """A container image, run by docker or podman without network; ``arguments`` follow the image's name."""

    image: str
    arguments: tuple[str, ...] = ()
    runtime: str = "docker"
    environment: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_key(_CONTAINER.fullmatch(self.image), "container", self.image, "it is an image's name, such as registry/nodules:1.2")
        check_key(self.runtime in RUNTIMES, "runtime", self.runtime, f"it is one of {', '.join(RUNTIMES)}")
        _check_variables(self.environment)

    @property
    def how(self) -> str:
        return f"container {self.image}"


@dataclass(frozen=True)
class EndpointRun:
    """A service that takes the image by POST and answers with JSON.

    token_env : the variable that holds the bearer token. send : ``nifti``, voxels and geometry alone, or ``file``, the file as it
    is, with whatever its header says of the patient.
    """

    url: str
    token_env: str | None = None
    send: str = "nifti"

    def __post_init__(self) -> None:
        allowed = "it is an https:// address, or http:// on this machine, without user name or password"
        check_key(_is_safe(self.url), "endpoint", re.sub(r"//[^/@]*@", "//…@", self.url), allowed)
        check_key(self.send in SENDS, "send", self.send, f"it is one of {', '.join(SENDS)}")
        _check_variables(() if self.token_env is None else (self.token_env,), "token_env")

    @property
    def how(self) -> str:
        return f"endpoint {urlsplit(self.url).hostname}"


Run = PythonRun | CommandRun | ContainerRun | EndpointRun | NodeRun


@dataclass(frozen=True)
class Declared:
    """An application that routes can choose.

    categories : which categories' images it takes; ``*`` for every one, also unknown; ``on request`` for none: it is run where
    it is asked for by name, or where a rule adds it. features : what it looks for, in words.
    seconds : wall time for one image. start_seconds : wall time to start it and load its model, once for many images.
    memory_mb : resident memory of all its processes together. settings : what it is started with. origin : who declared it.
    own : whether it comes with casewise, and shares a process with the others that do
    (:mod:`casewise.applications.own_process`); every other is isolated.
    regions : whether it starts from a chest's regions, so that it profits where a caller refines them.
    detects : labels of the findings that it can give and that are signs of disease; () for one that only measures; None where it
    does not say. A report says of these labels alone that they were looked for and not found.
    sequences : of an examination a Python object is then given these, a channel each, in this order
    (:meth:`casewise.examination.examination.Examination.stacked`); any other image, and without ``sequences`` the reference, as it
    is.
    """

    name: str
    categories: tuple[str, ...]
    features: tuple[str, ...]
    run: Run
    description: str = ""
    settings: Mapping[str, object] = field(default_factory=dict)
    seconds: float = 60.0
    start_seconds: float = 120.0
    memory_mb: float = 4096.0
    origin: str = "code"
    sequences: tuple[str, ...] = ()
    own: bool = False
    regions: bool = False
    detects: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        check_key(
            _NAME.fullmatch(self.name), "name", self.name, "it is lower case: a letter, then up to 63 letters, digits, '-' or '_'"
        )
        for key, words in (("categories", self.categories), ("features", self.features)):
            good = bool(words) and all(isinstance(word, str) and word.strip() for word in words)
            check_key(good, key, words, 'it is a list of at least one word, such as ["chest X-ray"]')
        good = self.detects is None or all(isinstance(word, str) and word.strip() for word in self.detects)
        check_key(good, "detects", self.detects, "it is a list of labels, or empty for an application that only measures")
        single = isinstance(self.run, PythonRun) and all(isinstance(word, str) and word.strip() for word in self.sequences)
        check_key(single or not self.sequences, "sequences", self.sequences, "it is a list of names, for a Python object alone")
        for key in ("seconds", "start_seconds", "memory_mb"):
            check_key(0 < getattr(self, key) < 1e7, key, getattr(self, key), "it is a number above 0 and below ten million")

    def takes(self, category: str) -> bool:
        """Whether images of the category come to it by its own declaration; capitals, blanks, '-' and '_' do not matter."""
        return any(own == ANY or same_category(own, category) for own in self.categories)

    def to_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "categories": list(self.categories),
            "features": list(self.features),
            "runs": self.run.how,
            "detects": None if self.detects is None else list(self.detects),
            "description": self.description,
            "seconds": self.seconds,
            "memory_mb": self.memory_mb,
            "origin": self.origin,
        }


def _is_safe(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    if not parts.hostname or parts.username or parts.password or port == 0 or re.search(r"\s", url):
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname))


def _check_variables(names: tuple[str, ...], key: str = "environment") -> None:
    for name in names:
        check_key(_VARIABLE.fullmatch(name), key, name, "a variable's name is letters, digits and '_'")
