"""The words of an image's description that say how it was made. Only they leave a header: all other text may be of a person.

Reports, archives and messages show what people and machines wrote into a header (SeriesDescription, ProtocolName, …). Such text
holds names, birth dates and numbers of patients in any spelling, so that it is not searched for what to leave out: it is
searched for the words of this vocabulary, and nothing else is kept.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from importlib.resources import files

_LONGEST = 64

_VOCABULARY = tomllib.loads(files("casewise.formats").joinpath("sequence_words.toml").read_text(encoding="utf-8"))


def _set(name: str) -> frozenset[str]:
    return frozenset(_VOCABULARY[name].split())


DERIVED_WORDS = _set("derived")
PART_WORDS = _set("parts") - _set("vague_parts")
_COMPUTED = _set("computed")
_VIEWS = _set("planes")
_DESCRIBING = _set("sequences") | DERIVED_WORDS | _VIEWS | _set("parts")
_MACHINES = _set("makers") | _set("models")
_MODALITIES = _set("modalities")
# Words written together are taken apart if one of them is of these, so that no name is cut to pieces that happen to be words.
_STRONG = _set("strong")
_TOKEN = re.compile(r"[^\W_]+\*?|\+\s?[cC]\b|[+]")
_PLAIN = re.compile(r"[\w\s\-+.,:/()*=#&%\[\]<>^]*", re.ASCII)
_MEASURE = re.compile(
    r"\d{1,2}mm|[ps]\d|x\d|\d(\.\d)?t|(te|tr|ti|fa)\d{1,5}(ms)?|\d{1,2}(st|nd|rd|th|min|sec|s)|[a-z]?[cmi]\d|t[12]w?[a-z]?"
)
_MACHINE_SEQUENCE = re.compile(
    r"\*?(ep|epse|epfid|fl|tfl|tfi|fi|tse|tseb|tir|tirb|tirm|spc|spcir|spcr|se|re|h|pc|qfl|gre)r?[23]dr?\d{0,3}"
)
_SCRIPT_OF_WORDS = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+")  # written without blanks: kana, Han, hangul
_B = re.compile(r"b(\d{1,4})[t]?")
_OF_MODEL = re.compile(r"\d{1,4}[a-z]{0,2}|[a-z]{1,3}\d{1,4}[a-z]{0,2}")


def folded(text: str) -> str:
    """Text by which words are compared: no case, no accents, German umlauts as two letters."""
    plain = text.casefold()
    for letter, two in (("ä", "ae"), ("ö", "oe"), ("ü", "ue"), ("ß", "ss")):
        plain = plain.replace(letter, two)
    decomposed = unicodedata.normalize("NFKD", plain)
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))


def description_words(text: str, personal: AbstractSet[str] = frozenset()) -> tuple[str, bool]:
    """What of a description is in the vocabulary, and whether that is all of it (then it is kept as it was written).

    personal : words (folded) that are left out even if the vocabulary has them: a patient may be called Head.
    """
    return _kept(text, personal, _is_describing)


def machine_words(text: str, personal: AbstractSet[str] = frozenset()) -> str:
    """What of a manufacturer's or model's name is in the vocabulary; short numbers beside it stay."""
    kept, _ = _kept(text, personal, lambda word, _before: word in _MACHINES or bool(_OF_MODEL.fullmatch(word)))
    return kept if any(word in _MACHINES for word in _folded_tokens(kept)) else ""


def view_words(text: str, personal: AbstractSet[str] = frozenset()) -> str:
    """What of a view's name is in the vocabulary."""
    return _kept(text, personal, lambda word, _before: word in _VIEWS)[0]


def modality_code(text: str) -> str | None:
    """DICOM's code of a modality; None for any other text."""
    return text.strip().upper() if text.strip().upper() in _MODALITIES else None


def derived_word(text: str) -> str | None:
    """The word by which a description or file name says that it is of a mask or a computed image, not of the sequence it names.

    ``FLAIR_ROI`` → ROI, ``T2 subtraction`` → subtraction, ``colour FA map`` → colour, ``T1map`` → T1map; None for ``ADC map``.
    """
    apart = re.sub(r"(?<=[a-z])(?=[A-Z][a-z])|(?<=[A-Z0-9])(?=[A-Z][a-z]{2})", " ", text)  # FlairMask, FLAIRRoi
    return _derived_among(text) or _derived_among(apart)


def _derived_among(text: str) -> str | None:
    spelled = [match.group() for match in _TOKEN.finditer(text)]
    words = [folded(word) for word in spelled]
    for place, (word, said) in enumerate(zip(words, spelled, strict=True)):
        following = words[place + 1] if place + 1 < len(words) else ""
        if word == "sub" and place == 0:
            continue  # the first word of BIDS: sub-01
        if (word == "fa" and following.isdigit()) or re.fullmatch(r"fa\d+", word):
            continue  # a flip angle
        if word in ("map", "maps", "mapit") and ("adc" in words or "apparent" in words):
            continue
        if {word, word.rstrip("0123456789")} & (DERIVED_WORDS | _COMPUTED) or _ends_as_mask(word):
            return said
    return None


_MASK_ENDS = re.compile(
    r"(t1|t1w|t1c|t1ce|t2|t2w|flair|dwi|adc|pd|swi|mprage|brain|lesion|tumou?r)(masks?|rois?|segs?|labels?|gt|maske|sub)\d*"
)


def _ends_as_mask(word: str) -> bool:
    return _MASK_ENDS.fullmatch(word) is not None


def _folded_tokens(text: str) -> list[str]:
    return [folded(match.group()) for match in _TOKEN.finditer(text)]


def _kept(text: str, personal: AbstractSet[str], known: Callable[[str, str], bool]) -> tuple[str, bool]:
    text = " ".join(_SCRIPT_OF_WORDS.sub(r" \g<0> ", unicodedata.normalize("NFKC", text)).split())
    kept, whole, before = [], bool(_PLAIN.fullmatch(text)), ""
    for match in _TOKEN.finditer(text):
        word = folded(match.group())
        if word not in personal and known(word, before):
            kept.append(match.group() if match.group().isascii() else word)
        else:
            whole = False
        before = word
    return (text[:_LONGEST] if whole and kept else " ".join(kept)[:_LONGEST]), whole and bool(kept)


def _is_describing(word: str, before: str) -> bool:
    if word in _DESCRIBING or word in ("+c", "+", "b"):
        return True
    if word.isdigit():
        # A number says something only behind the letter of a b value, as in b50_800.
        if _MACHINE_SEQUENCE.fullmatch(before):
            return len(word) <= 3
        return len(word) <= 4 and (before == "b" or _B.fullmatch(before) is not None) and not 1900 <= int(word) <= 2100
    if _MEASURE.fullmatch(word) or _B.fullmatch(word) or _MACHINE_SEQUENCE.fullmatch(word) or _ends_as_mask(word):
        return True
    return _is_several(word)


def _is_several(word: str) -> bool:
    """Whether a word is words of the vocabulary without blanks between them, such as axt2flair."""
    if len(word) > 24:
        return False
    ways: list[bool | None] = [False] + [None] * len(word)  # at each letter: whether a strong word is among those before it
    for end in range(1, len(word) + 1):
        for start in range(max(0, end - 12), end):
            reached, part = ways[start], word[start:end]
            if reached is not None and len(part) > 1 and part in _DESCRIBING:
                ways[end] = bool(ways[end]) or reached or part in _STRONG
    return bool(ways[-1])
