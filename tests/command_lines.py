"""The ``casewise …`` command lines in a text, and whether the command line takes them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import cache
from typing import Any

import typer

from casewise.cli.app import app

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def code_blocks(text: str, *languages: str) -> Iterator[str]:
    """Fenced blocks of Markdown in one of ``languages``."""
    for match in _FENCE.finditer(text):
        if match[1] in languages:
            yield match[2]


def whole_lines(text: str) -> list[list[str]]:
    """Words after ``casewise`` of every complete command line; a trailing backslash goes on in the next line."""
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        match = re.match(r"\s*(?:\$ )?(?:[A-Z_]+=\S+ )*casewise (.*)", line)
        if match:
            words = shlex.split(match[1], comments=True)
            end = next((number for number, word in enumerate(words) if word in {"|", ">", "2>", "&&"}), len(words))
            found.append(words[:end])
    return found


def mentions(text: str) -> list[list[str]]:
    """Words after ``casewise`` of every `casewise …` in running text, which may leave arguments out."""
    outside = _FENCE.sub("", text)
    return [shlex.split(match[1]) for match in re.finditer(r"`casewise ([^`]+)`", outside)]


@cache
def _whole() -> Any:
    return typer.main.get_command(app)


def command_of(words: list[str]) -> tuple[Any, list[str]]:
    """The command that ``words`` name and the words after its name; a ValueError where there is none."""
    command = _whole()
    words = list(words)
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        name = words.pop(0)
        if name not in command.commands:
            msg = f"there is no command {name!r}"
            raise ValueError(msg)
        command = command.commands[name]
    return command, words


def check_complete(words: list[str]) -> None:
    """Raises where the command line would refuse ``words``; runs nothing."""
    command, rest = command_of(words)
    if not {"--help", "-h", "--version"} & set(rest):
        command.make_context("casewise", rest)


def check_mention(words: list[str]) -> None:
    """Raises where a command or an option that is mentioned does not exist."""
    command, rest = command_of(words)
    known = {name for parameter in command.params for name in parameter.opts} | {"--help", "-h"}
    for word in rest:
        if word.startswith("-") and word.split("=")[0] not in known:
            msg = f"there is no option {word}"
            raise ValueError(msg)
