"""What may be said of an upload's files where others read it, as in a job: no part of their names, which may name patients."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from casewise.archive.words import IMAGE_WORDS, MASK_WORDS
from casewise.formats.sniffing import SUFFIXES, suffix_of
from casewise.names import nfc

_KNOWN = frozenset({*SUFFIXES, ".csv", ".tsv", ".json", ".txt"})
_WORD = re.compile(r"[^\W_]+")
_QUOTED = re.compile(r"""(?<!\w)(?:'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")(?!\w)""")  # cells of tables, names in a file's own header
_FILE = re.compile(r"""[^\s(),;:'"]*[^\W_]\.[A-Za-z][^\s(),;:'"]*""")
_IN_BRACKETS = re.compile(r"\([^()]*\)")
_LEFT_OUT = "…"
_SEVERAL = re.compile(rf"{_LEFT_OUT}(?:[ /\\_.,^-]{{1,3}}{_LEFT_OUT})+")
_OWN = "\ue000"  # in place of the file's own name until the rest has been looked at; a letter of no script


class Unnamed:
    """names : of all files of the upload, with the folders that they were sent in."""

    def __init__(self, names: Iterable[str]) -> None:
        self._words = frozenset(word for name in names for word in _words(name))

    def called(self, name: str, number: int) -> str:
        """A file by its number among those that are spoken of, with its suffix where that is of a known kind."""
        suffix = _suffix(name)
        return f"file {number} ({suffix})" if suffix else f"file {number}"

    def sentence(self, reason: str, name: str, number: int) -> str:
        """A reason that names the file ``name`` as :meth:`called` does; words of other names and what a file says are left out."""
        text = _QUOTED.sub(_LEFT_OUT, nfc(reason).replace(nfc(name), _OWN))
        if suffix_of(Path(name)) in {".csv", ".tsv"}:
            text = _IN_BRACKETS.sub(f"({_LEFT_OUT})", text)
        text = _WORD.sub(lambda word: _LEFT_OUT if word[0].casefold() in self._words else word[0], _FILE.sub(_LEFT_OUT, text))
        return _SEVERAL.sub(_LEFT_OUT, text).replace(_OWN, self.called(name, number))


def _words(name: str) -> Iterator[str]:
    """Those that tell something: no single letter or digit of English, and none that says what kind of file it is."""
    for word in _WORD.findall(nfc(name[: len(name) - len(_suffix(name))])):
        told = word.casefold()
        if not (len(told) == 1 and told.isascii()) and told not in IMAGE_WORDS and told not in MASK_WORDS:
            yield told


def _suffix(name: str) -> str:
    found = suffix_of(Path(name))
    return found if found in _KNOWN else ""
