"""The names of a folder's images: whole, with a hole for the word for image, and by examination."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property

from casewise.archive.ingest.layouts.tree import stem
from casewise.archive.ingest.layouts.vocabulary import QUALIFIERS, says_acquisition
from casewise.archive.words import IMAGE_WORDS, SEQUENCES, camel_words, spans
from casewise.names import nfc

HOLE = "\0"  # stands for a word for mask or image in a name


class ImageNames:
    """The images of a folder by whole name, by name with a hole for the word for image, and by examination."""

    def __init__(self, images: Sequence[str], folder: str) -> None:
        self.folder = folder
        self.by_stem: dict[str, list[str]] = defaultdict(list)
        self.by_template: dict[str, list[str]] = defaultdict(list)
        self.by_examination: dict[str, list[str]] = defaultdict(list)
        for name in images:
            text = nfc(stem(name))
            self.by_stem[text].append(name)
            for start, end in spans(text):
                word = text[start:end].lower()
                if word in IMAGE_WORDS:
                    self.by_template[text[:start] + HOLE + text[end:]].append(name)
                elif (bare := word.rstrip("0123456789")) != word and bare in IMAGE_WORDS:
                    self.by_template[text[:start] + HOLE + text[start + len(bare) :]].append(name)
            examination = _examination(text)
            if examination is not None:
                self.by_examination["" if examination == folder else examination].append(name)
        self.words = {text[start:end] for text in self.by_stem for start, end in spans(text)}
        if not self._is_one_subject(images):
            self.by_examination.pop("", None)

    def _is_one_subject(self, images: Sequence[str]) -> bool:
        """Whether all images are sequences of one subject, so that ``gt`` is of them; sets them so where their names are long."""
        if len(self.by_examination.get("", ())) == len(images):
            return bool(images)
        first = [SEQUENCES.get((camel_words(text) or [""])[0]) for text in self.by_stem]
        if None in first or len(set(first)) < len(images):
            return False
        self.by_examination[""] = list(images)
        return True

    @cached_property
    def by_loose_name(self) -> dict[str, list[str]]:
        """An image of each whole name, by what is left of the name without case, zeros and separators."""
        found: dict[str, list[str]] = defaultdict(list)
        for text, images in self.by_stem.items():
            found[loosely(text)].append(images[0])
        return found

    def examination(self, name: str) -> tuple[str, ...]:
        return tuple(self.by_examination.get("" if name == self.folder else name, ()))


def _examination(text: str) -> str | None:
    """What is left of an image's name without what says how it was taken; None where it says nothing of that: ``p1_T1`` → p1."""
    places = spans(text)
    acquired = False
    while places and (_is_acquired(text, places[-1]) or (not acquired and _is_image(text, places[-1], len(places)))):
        acquired = acquired or _says(text, places[-1]) or len(places) == 1
        places.pop()
    while places and _says(text, places[0]):
        acquired = True
        places.pop(0)
    if not acquired:
        return None
    return text[places[0][0] : places[-1][1]] if places else ""


def _says(text: str, place: tuple[int, int]) -> bool:
    return says_acquisition(text[slice(*place)].lower())


def _is_acquired(text: str, place: tuple[int, int]) -> bool:
    return _says(text, place) or text[slice(*place)].lower() in QUALIFIERS


def _is_image(text: str, place: tuple[int, int], count: int) -> bool:
    return count == 1 and text[slice(*place)].lower() in IMAGE_WORDS


def loosely(text: str) -> str:
    """A name without case, zeros before numbers, and separators."""
    return "_".join(word.lstrip("0") or "0" for word in camel_words(text))
