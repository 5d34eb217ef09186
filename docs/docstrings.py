"""How the site displays docstrings: ``name : what it is`` as a list, references as code."""

from __future__ import annotations

import re
from typing import Any

import griffe

_ROLE = re.compile(r":\w+:`~?([^`]+)`")
_PARAMETER = re.compile(r"^(\w+(?:, \w+)*) : (?=\S)")


class Docstrings(griffe.Extension):
    """Turns this project's docstrings into Markdown before they are parsed."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring:
            obj.docstring.value = markdown(obj.docstring.value)


def markdown(text: str) -> str:
    """``text`` with ``:class:`X``` as code and every ``name : …`` that begins a line as an item of a list."""
    lines: list[str] = []
    for line in _ROLE.sub(r"`\1`", text.replace("``", "`")).splitlines():
        for sentence in _split(line):
            found = _PARAMETER.match(sentence)
            if found:
                if lines and lines[-1] and not lines[-1].startswith(("- ", "  ")):
                    lines.append("")
                sentence = f"- `{found[1]}`: {sentence[found.end() :]}"
            elif lines and lines[-1].startswith(("- ", "  ")) and sentence:
                sentence = f"  {sentence.strip()}"
            lines.append(sentence)
    return "\n".join(lines)


def _split(line: str) -> list[str]:
    """A line in which further parameters begin after a full stop, as ``key : hash. image : its file.``"""
    return re.split(r"(?<=[.;]) (?=\w+(?:, \w+)* : \S)", line)
