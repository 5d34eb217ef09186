"""The TOML file in which applications and rules are declared: read, and checked to the last key."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TypeVar

from casewise.applications.declared import CommandRun, ContainerRun, Declared, EndpointRun, PythonRun, Run
from casewise.applications.rules import Condition, Rule
from casewise.errors import UsageError

_RUNS = ("python", "command", "container", "endpoint")
_ABOUT = (
    "name",
    "categories",
    "features",
    "description",
    "settings",
    "seconds",
    "start_seconds",
    "memory_mb",
    "sequences",
    "detects",
)
_BESIDE = {
    "python": ("environment",),
    "command": ("environment",),
    "container": ("arguments", "runtime", "environment"),
    "endpoint": ("token_env", "send"),
}
_RULE = ("when", "add", "remove")
_CONDITION = ("field", "operator", "value")
_Made = TypeVar("_Made")


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
    _Table(document, str(path)).only(("application", "rule"))
    applications = [_application(table, path) for table in _tables(document, "application", path)]
    return applications, [_rule(table) for table in _tables(document, "rule", path)]


class _Table:
    """One table of the file: takes its keys with their types, and says where a mistake is."""

    def __init__(self, values: Mapping[str, object], where: str) -> None:
        self.values, self.where = values, where

    def only(self, allowed: Collection[str]) -> None:
        for key in self.values:
            if key not in allowed:
                near = difflib.get_close_matches(key, allowed, 1)
                guess = f" (did you mean {near[0]}?)" if near else ""
                raise UsageError(f"{self.where}: the key {key} is not known{guess}; allowed are {', '.join(allowed)}.")

    def text(self, key: str, default: str | None = None) -> str:
        value = self.values.get(key, default)
        if not isinstance(value, str):
            raise self._wrong(key, "a text in quotation marks")
        return value

    def words(self, key: str, default: tuple[str, ...] | None = None) -> tuple[str, ...]:
        value = self.values.get(key, default)
        if not isinstance(value, (list, tuple)) or not all(isinstance(word, str) for word in value):
            raise self._wrong(key, 'a list of texts, such as ["one", "two"]')
        return tuple(value)

    def number(self, key: str, default: float) -> float:
        value = self.values.get(key, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self._wrong(key, "a number")
        return float(value)

    def table(self, key: str) -> dict[str, object]:
        value = self.values.get(key, {})
        if not isinstance(value, dict):
            raise self._wrong(key, "a table, such as { threshold = 0.4 }")
        return value

    def made(self, maker: Callable[[], _Made]) -> _Made:
        """What ``maker`` makes; its own complaint gets the place in front."""
        try:
            return maker()
        except UsageError as error:
            sentence = str(error) if str(error).startswith(self.where) else f"{self.where}: {error}"
            raise UsageError(sentence) from error

    def _wrong(self, key: str, wanted: str) -> UsageError:
        if key not in self.values:
            return UsageError(f"{self.where}: the key {key} is missing; it is {wanted}.")
        return UsageError(f"{self.where}: {key} = {self.values[key]!r} is not allowed; it is {wanted}.")


def _tables(document: Mapping[str, object], key: str, path: Path) -> list[_Table]:
    tables = document.get(key, [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise UsageError(f"{path}: {key} is written as tables that begin with [[{key}]], in double brackets.")
    named = []
    for number, table in enumerate(tables, start=1):
        name = table.get("name") if key == "application" else None
        label = repr(name) if isinstance(name, str) else f"number {number}"
        named.append(_Table(table, f"{path}, [[{key}]] {label}"))
    return named


def _application(table: _Table, path: Path) -> Declared:
    kinds = [key for key in _RUNS if key in table.values]
    if len(kinds) != 1:
        given = f"{' and '.join(kinds)} are given" if kinds else "none is given"
        raise UsageError(f"{table.where}: how it runs is said by exactly one of the keys {', '.join(_RUNS)}; {given}.")
    table.only((*_ABOUT, kinds[0], *_BESIDE[kinds[0]]))
    return table.made(
        lambda: Declared(
            table.text("name"),
            table.words("categories"),
            table.words("features"),
            _run(table, kinds[0], path),
            table.text("description", ""),
            table.table("settings"),
            table.number("seconds", 60.0),
            table.number("start_seconds", 120.0),
            table.number("memory_mb", 4096.0),
            str(path),
            table.words("sequences", ()),
            detects=table.words("detects") if "detects" in table.values else None,
        )
    )


def _run(table: _Table, kind: str, path: Path) -> Run:
    if kind == "python":
        return PythonRun(table.text("python"), table.words("environment", ()))
    if kind == "command":
        return CommandRun(table.words("command"), table.words("environment", ()), path.absolute().parent)
    if kind == "container":
        runtime = table.text("runtime", "docker")
        return ContainerRun(table.text("container"), table.words("arguments", ()), runtime, table.words("environment", ()))
    token = table.text("token_env") if "token_env" in table.values else None
    return EndpointRun(table.text("endpoint"), token, table.text("send", "nifti"))


def _rule(table: _Table) -> Rule:
    table.only(_RULE)
    tables = table.values.get("when", [])
    if not isinstance(tables, list) or not all(isinstance(item, dict) for item in tables):
        shape = '[{ field = "modality", operator = "is", value = "CT" }]'
        raise UsageError(f"{table.where}: when is a list of conditions, such as {shape}.")
    conditions = tuple(_condition(_Table(item, f"{table.where}, condition {n}")) for n, item in enumerate(tables, start=1))
    add, remove = table.words("add", ()), table.words("remove", ())
    return table.made(lambda: Rule(conditions, add, remove, table.where))


def _condition(table: _Table) -> Condition:
    table.only(_CONDITION)
    if "value" not in table.values:
        raise UsageError(f"{table.where}: the key value is missing; a condition has the keys {', '.join(_CONDITION)}.")
    field, operator = table.text("field"), table.text("operator")
    return table.made(lambda: Condition(field, operator, table.values["value"]))
