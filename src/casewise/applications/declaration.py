"""The TOML file in which applications and rules are declared: read, and checked to the last key."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from casewise.applications.conditions import Condition
from casewise.applications.declared import CommandRun, ContainerRun, Declared, EndpointRun, PythonRun, Run
from casewise.applications.node_run import NodeRun
from casewise.applications.rules import Rule
from casewise.errors import UsageError

_ALLOWED = {
    "str": "a text in quotation marks",
    "float": "a number",
    "int": "a whole number",
    "bool": "true or false",
    "tls": 'a table of PEM files, such as { certificate = "own.pem", key = "own.key", ca = "ca.pem" }',
    "array": 'a list of texts, such as ["one", "two"]',
    "object": "a table, such as { threshold = 0.4 }",
    "when": 'a list of conditions, such as [{ field = "modality", operator = "is", value = "CT" }]',
}
_Table = TypeVar("_Table")


# How an application is run: the key that says so, and those that go with it.
_BESIDE = {
    "python": ("environment",),
    "command": ("environment",),
    "container": ("arguments", "runtime", "environment"),
    "endpoint": ("token_env", "send"),
    "node": tuple(one.name for one in fields(NodeRun) if one.name != "node"),
}


class _Application(msgspec.Struct, kw_only=True):
    name: str
    categories: tuple[str, ...]
    features: tuple[str, ...]
    description: str = ""
    settings: dict[str, Any] = {}
    seconds: float = 60.0
    start_seconds: float = 120.0
    memory_mb: float = 4096.0
    sequences: tuple[str, ...] = ()
    detects: tuple[str, ...] | None = None
    python: str = ""
    command: tuple[str, ...] = ()
    container: str = ""
    endpoint: str = ""
    environment: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    runtime: str = "docker"
    token_env: str | None = None
    send: str = "nifti"

    def run(self, kind: str, folder: Path) -> Run:
        """Folder : of the file that declares it."""
        if kind == "python":
            return PythonRun(self.python, self.environment)
        if kind == "command":
            return CommandRun(self.command, self.environment, folder)
        if kind == "container":
            return ContainerRun(self.container, self.arguments, self.runtime, self.environment)
        return EndpointRun(self.endpoint, self.token_env, self.send)


_ABOUT = _Application.__struct_fields__[:10]
_OF_RULE = tuple(one.name for one in fields(Rule) if one.name != "origin")


class _When(msgspec.Struct):
    when: list[dict[str, Any]] = []


def read_declarations(path: Path) -> tuple[list[Declared], list[Rule]]:
    """The ``[[application]]`` and ``[[rule]]`` tables of a file.

    Raises UsageError, one sentence that names the file, the table, the key and what is allowed.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError(f"{path} does not exist; --applications and CASEWISE_APPLICATIONS name TOML files.") from error
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text in UTF-8"
        raise UsageError(f"{path} cannot be read: {reason}.") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is not valid TOML: {error}.") from error
    _check_keys(document, ("application", "rule"), str(path))
    applications = [_application(table, where, path) for table, where in _tables(document, "application", path)]
    rules = [
        _rule(table, where, f"rule {number} of {path.name}")
        for number, (table, where) in enumerate(_tables(document, "rule", path), start=1)
    ]
    return applications, rules


def _tables(document: Mapping[str, Any], key: str, path: Path) -> list[tuple[dict[str, Any], str]]:
    """Each table under ``key``, and where it stands."""
    tables = document.get(key, [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise UsageError(f"{path}: {key} is written as tables that begin with [[{key}]], in double brackets.")
    names = [table.get("name") for table in tables]
    labels = [repr(name) if isinstance(name, str) else f"number {number}" for number, name in enumerate(names, start=1)]
    return [(table, f"{path}, [[{key}]] {label}") for table, label in zip(tables, labels, strict=True)]


def _application(table: dict[str, Any], where: str, path: Path) -> Declared:
    kinds = [key for key in _BESIDE if key in table]
    if len(kinds) != 1:
        given = f"{' and '.join(kinds)} are given" if kinds else "none is given"
        raise UsageError(f"{where}: how it runs is said by exactly one of the keys {', '.join(_BESIDE)}; {given}.")
    kind, folder = kinds[0], path.absolute().parent
    _check_keys(table, (*_ABOUT, kind, *_BESIDE[kind]), where)
    of_node = (kind, *_BESIDE[kind]) if kind == "node" else ()
    found = _converted({key: value for key, value in table.items() if key not in of_node}, _Application, where)
    with _placed(where):
        run = _node({key: table[key] for key in of_node if key in table}, where, folder) if of_node else found.run(kind, folder)
        about = {key: getattr(found, key) for key in _ABOUT}
        return Declared(run=run, origin=str(path), **about)


def _node(table: dict[str, Any], where: str, folder: Path) -> NodeRun:
    """From its keys. folder : of the file that declares it, in which the PEM files are looked for."""
    run = _converted(table, NodeRun, where)
    return replace(run, tls={name: str(folder / Path(path).expanduser()) for name, path in run.tls.items()})


def _rule(table: dict[str, Any], where: str, called: str) -> Rule:
    _check_keys(table, _OF_RULE, where)
    conditions = []
    for number, item in enumerate(_converted({"when": table.get("when", [])}, _When, where).when, start=1):
        place = f"{where}, condition {number}"
        _check_keys(item, ("field", "operator", "value"), place)
        with _placed(place):
            conditions.append(_converted(item, Condition, place))
    with _placed(where):
        rule = _converted({key: value for key, value in table.items() if key != "when"}, Rule, where)
    return replace(rule, when=tuple(conditions), name=rule.name or called, origin=where)


def _converted(table: dict[str, Any], kind: type[_Table], where: str) -> _Table:
    """The table with its types; its keys were checked. Raises UsageError, one sentence, also from the value itself."""
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        message = str(error)
    missing = re.search(r"required field `(\w+)`", message)
    if missing:
        raise UsageError(f"{where}: the key {missing[1]} is missing; it is needed.")
    key, inner = re.search(r"`\$\.(\w+)(\[)?", message).groups()  # type: ignore[union-attr]  # in every other message
    wanted = _ALLOWED[key if key in _ALLOWED else "array" if inner else re.search(r"Expected `(\w+)", message)[1]]  # type: ignore[index]
    raise UsageError(f"{where}: {key} = {table[key]!r} is not allowed; it is {wanted}.")


def _check_keys(table: Mapping[str, Any], allowed: Collection[str], where: str) -> None:
    for key in table:
        if key not in allowed:
            near = difflib.get_close_matches(key, allowed, 1)
            guess = f" (did you mean {near[0]}?)" if near else ""
            raise UsageError(f"{where}: the key {key} is not known{guess}; allowed are {', '.join(allowed)}.")


@contextmanager
def _placed(where: str) -> Iterator[None]:
    """Within it, a value's own complaint gets the place in front."""
    try:
        yield
    except UsageError as error:
        raise UsageError(str(error) if str(error).startswith(where) else f"{where}: {error}") from error
