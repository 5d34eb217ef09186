"""Which image a mask belongs to, by their names alone, or why that cannot be determined.

Names are compared whole, as NFC text, character by character: ``scan_1`` is neither ``scan_10`` nor ``scan_01`` nor ``Scan_1``. A
mask's name is its image's name with a word for mask before it, behind it or in it (``x_mask``, ``gt-x``), or instead of a word for
image (``brain1_label`` for ``brain1_image``). From the surest down:

1. the image of exactly that name;
2. the image whose name the mask's goes on from, where the rest names a structure: ``case7_left_lung_mask`` for ``case7``. A rest
   that is no known structure is believed only where masks of two images have it, a number only where a mask without it is there;
3. all sequences of one examination, where the image's name goes on with what says how it was taken: ``p1_mask`` for ``p1_T1`` and
   ``p1_FLAIR``;
4. all sequences in one subject's folder, for a mask whose name says no image (``gt``, ``lesion_mask``).

Where two images fit equally well, the mask is refused. In 3 and 4 the grid decides among the sequences, so pictures, which do not
say where they lie, are refused there if they are several. A name there that says no structure is refused where one of the images
has a mask of its own whole name: it may be that of an image that is missing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from casewise.archive.ingest.layouts.image_names import HOLE, ImageNames, loosely
from casewise.archive.ingest.layouts.tree import PICTURES, stem
from casewise.archive.ingest.layouts.vocabulary import QUALIFIERS, is_side, is_structure, says_acquisition
from casewise.archive.suffixes import suffix
from casewise.archive.words import (
    FILLER,
    MASK_WORDS,
    camel_words,
    in_word,
    is_role,
    spans,
    structure_name,
    without_roles,
)
from casewise.names import legible, nfc, same_structure

JOINTS = "_-. "


@dataclass(frozen=True)
class Match:
    """The images of a mask (several: sequences of one examination), and the structure that its name says. ``role``: its word for
    mask.
    """

    images: tuple[str, ...]
    structure: str | None
    role: str


@dataclass(frozen=True)
class _Candidate:
    rank: int
    images: tuple[str, ...]
    rest: str | None
    role: str
    one_name: bool = True


def pair(masks: Sequence[str], images: Sequence[str], folder: str = "", *, in_mask_folder: bool = False) -> dict[str, Match | str]:
    """For each mask's file name its match among ``images`` (file names too), or the reason, one sentence, why there is none.

    folder : the name of the folder that images and masks lie in. in_mask_folder : the masks' folder says that they are masks, so
    that their own names need not.
    """
    names = ImageNames(images, nfc(folder))
    found = {mask: list(_candidates(mask, names, in_mask_folder)) for mask in masks}
    shared = _Shared(found)
    return {mask: _decided(mask, found[mask], shared, names) for mask in masks}


def _runs(text: str) -> Iterator[tuple[int, int]]:
    """Where a name's words for mask begin and end, words like ``manual`` beside them included; of ``mask2`` the letters alone."""
    places = spans(text)
    words = [text[start:end].lower() for start, end in places]
    roles = [is_role(word) for word in words]
    for number, (first, second) in enumerate(pairwise(words)):
        if (first, second) in (("gold", "standard"), ("ground", "truth")):
            roles[number] = roles[number + 1] = True
    number = 0
    while number < len(words):
        if not roles[number]:
            number += 1
            continue
        begin = last = number
        while begin > 0 and words[begin - 1] in FILLER:
            begin -= 1
        while last + 1 < len(words) and (roles[last + 1] or words[last + 1] in FILLER):
            last += 1
        word = words[last]
        bare = word.rstrip("0123456789")
        end = places[last][0] + len(bare) if word not in MASK_WORDS and bare in MASK_WORDS else places[last][1]
        yield places[begin][0], end
        number = last + 1


def _candidates(mask: str, names: ImageNames, in_mask_folder: bool) -> Iterator[_Candidate]:
    text = nfc(stem(mask))
    if in_mask_folder:
        yield from _with_base(text, "", names, mask)
    for start, end in _runs(text):
        role = text[start:end]
        template = names.by_template.get(text[:start] + HOLE + text[end:])
        if template:
            yield _Candidate(0, _of_kind(mask, template), None, role)
        before, after = _cut_end(text[:start]), _cut_start(text[end:])
        if before is None or after is None:
            continue
        if before and after:
            yield from _around(text, (start, end), before, after, names, mask)
        else:
            yield from _with_base(before or after, role, names, mask)


def _cut_end(text: str) -> str | None:
    """What stands before a word for mask, without the one character that joins them; None where nothing joins them."""
    if text.endswith(" - "):
        return text[:-3]
    if not text or text[-1] in JOINTS:
        return text[:-1]
    return text if text[-1].isdecimal() or text[-1].islower() else None


def _cut_start(text: str) -> str | None:
    if text.startswith(" - "):
        return text[3:]
    if not text or text[0] in JOINTS:
        return text[1:]
    return text if text[0].isdecimal() or text[0].isupper() else None


def _with_base(base: str, role: str, names: ImageNames, mask: str) -> Iterator[_Candidate]:
    """A name that has its word for mask at one end, or none: ``base`` is the rest of it."""
    if base in names.by_stem:
        yield _Candidate(0, _of_kind(mask, names.by_stem[base]), None, role)
    if found := names.examination(base):
        yield _Candidate(2, found, None, role, one_name=False)
    for place, character in enumerate(base):
        if character in JOINTS and 0 < place < len(base) - 1:
            yield from _going_on(base[:place], base[place + 1 :], role, names, mask)
            if is_structure(base[:place]) and base[place + 1 :] in names.by_stem:
                yield _Candidate(1, _of_kind(mask, names.by_stem[base[place + 1 :]]), base[:place], role)
    if base and (found := names.examination("")):
        yield _Candidate(4, found, base, role, one_name=False)


def _going_on(first: str, rest: str, role: str, names: ImageNames, mask: str) -> Iterator[_Candidate]:
    if first in names.by_stem:
        yield _Candidate(1, _of_kind(mask, names.by_stem[first]), rest, role)
    if found := names.examination(first):
        yield _Candidate(3, found, rest, role, one_name=False)


def _around(text: str, run: tuple[int, int], before: str, after: str, names: ImageNames, mask: str) -> Iterator[_Candidate]:
    """A name with its word for mask in the middle."""
    role = text[slice(*run)]
    joints = {text[: run[0]][len(before) :], text[run[1] :][: len(text[run[1] :]) - len(after)]}
    for joint in joints:
        if found := names.by_stem.get(before + joint + after):
            yield _Candidate(0, _of_kind(mask, found), None, role)
    if after.isdecimal():
        # The second mask of an image is called so as a whole: mask_1.
        yield from _going_on(before, text[run[0] :], role, names, mask)
    else:
        yield from _going_on(before, after, role, names, mask)
    if after in names.by_stem and is_structure(before):
        yield _Candidate(1, _of_kind(mask, names.by_stem[after]), before, role)
    for place, character in enumerate(before):
        if character in JOINTS and 0 < place < len(before) - 1:
            yield from _going_on(before[:place], f"{before[place + 1 :]}_{after}", role, names, mask)
    if together := names.examination(""):
        yield _Candidate(4, together, f"{before}_{after}", role, one_name=False)


def _of_kind(mask: str, images: Sequence[str]) -> tuple[str, ...]:
    """Of images that share a name, those of the mask's kind: a volume's mask is no picture's."""
    same = tuple(name for name in images if (suffix(name) in PICTURES) == (suffix(mask) in PICTURES))
    return same or tuple(images)


class _Shared:
    """Which rests of names several masks have: for two images, or beside a mask without rest."""

    def __init__(self, found: Mapping[str, Sequence[_Candidate]]) -> None:
        self._with: dict[str, tuple[set[str], set[tuple[str, ...]]]] = defaultdict(lambda: (set(), set()))  # masks, their images
        self.rests_of: dict[tuple[str, ...], set[str]] = defaultdict(set)
        self.plain: set[tuple[tuple[str, ...], str]] = set()
        self.own: set[tuple[str, str]] = set()  # images that a mask of their whole name is there for, with its word for mask
        for mask, candidates in found.items():
            for one in candidates:
                if one.rest is None:
                    self.plain.add((one.images, one.role.lower()))
                    self.own.update((image, one.role.lower()) for image in one.images if one.rank == 0)
                elif one.rank in (1, 3):
                    masks, images = self._with[same_structure(one.rest)]
                    masks.add(mask)
                    images.add(one.images)
                    self.rests_of[one.images].add(one.rest)

    def is_twice(self, rest: str) -> bool:
        """Whether two masks have it, for two images: one mask that fits two is no evidence."""
        masks, images = self._with[same_structure(rest)]
        return len(masks) > 1 and len(images) > 1


def _decided(mask: str, candidates: Collection[_Candidate], shared: _Shared, names: ImageNames) -> Match | str:
    believed = [(one, rest) for one in candidates for rest in [_structure(one, shared, names)] if rest is not None]
    if not believed:
        return _unknown(mask, candidates, names)
    rank = min(one.rank for one, _ in believed)
    best = [(one, rest) for one, rest in believed if one.rank == rank]
    images = {one.images for one, _ in best}
    if len(images) > 1 or any(one.one_name and len(one.images) > 1 for one, _ in best):
        fitting = ", ".join(sorted(legible(name) for several in images for name in several))
        return f"Its name says that it is a mask, but it fits several images equally ({fitting}); name its image in a manifest."
    one, rest = best[0]
    taken = [name for name in one.images if any((name, other.role.lower()) in shared.own for other, _ in best)]
    if rank > 1 and taken and (not rest or (rank == 4 and not is_structure(rest))) and without_roles(nfc(stem(mask))):
        return (
            f"It may be a mask of {legible(taken[0])}, which has a mask of its own name, or of an image that is missing; name its "
            "image in a manifest."
        )
    if len(one.images) > 1 and any(suffix(name) in PICTURES for name in one.images):
        return (
            f"It may be a mask of any of {len(one.images)} pictures ({legible(one.images[0])}, …), and pictures do not say where "
            "they lie; name its image in a manifest."
        )
    return Match(one.images, rest or None, one.role)


def _structure(one: _Candidate, shared: _Shared, names: ImageNames) -> str | None:
    """The structure that a candidate's rest names, empty where it has none; None where the rest is not to be believed."""
    if one.rest is None:
        return ""
    rest = one.rest
    if any(letter not in JOINTS and not in_word(letter) for letter in rest):
        return None  # a sign is part of a name, never of a structure's
    bare = without_roles(rest)
    if one.rank == 4:
        return _of_subject(one, bare, names)
    if not bare:
        return ""
    if bare.isdecimal():
        # mask_1 counts masks; a bare 1 is part of another image's name.
        return structure_name(rest) if bare != rest and _is_counted(one, shared) else None
    if is_structure(bare):
        return structure_name(bare)
    words = camel_words(bare)
    twice = shared.is_twice(rest)
    if is_side(bare):
        both = sum(is_side(other) for other in shared.rests_of[one.images]) > 1
        return structure_name(bare) if twice or both else None
    if all(word in QUALIFIERS for word in words):
        return structure_name(bare) if one.rank == 3 or twice or _has_plain(one, shared) else None
    long = sum(2 if letter > "\u024f" else 1 for letter in bare if letter.isalpha()) >= 3
    distinct = long and not any(word.isdecimal() or says_acquisition(word) for word in words)
    return structure_name(rest if _whole_name(rest) else bare) if distinct and twice else None


def _whole_name(rest: str) -> bool:
    return len(without_roles(rest)) < 3


def _of_subject(one: _Candidate, bare: str, names: ImageNames) -> str | None:
    """The structure of a mask in a subject's folder: what its name says beyond the images' names."""
    own = [bare[start:end] for start, end in spans(bare) if not _is_of_images(bare[start:end], names)]
    said = [word for start, end in spans(bare) if (word := bare[start:end]) not in own and not says_acquisition(word.lower())]
    if len(own) < len(spans(bare)) and not all(_named_by(said, name) for name in one.images):
        return None  # a part of an image's name is the name of another image, which is missing
    if not own:
        return ""
    if one.role.lower() == "gt" and len(own) == 1 and len(own[0]) == 1 and own[0].isupper():
        # A letter alone says nothing without the word before it: GT_W.
        return structure_name(f"{one.role}_{own[0]}")
    joined = bare if len(own) == len(spans(bare)) else "_".join(own)
    return structure_name(joined) if is_structure(joined) else None


def _named_by(said: Sequence[str], image: str) -> bool:
    """Whether a mask that says these words of its image's name says all of them, in their order, but how it was taken."""
    text = nfc(stem(image))
    words = [text[start:end] for start, end in spans(text)]
    beside = [word for word in words if not says_acquisition(word.lower()) and (said or word.lower() not in QUALIFIERS)]
    return beside == list(said)


def _is_of_images(word: str, names: ImageNames) -> bool:
    """Whether the images' names hold the word: letter for letter, but for what says how an image was taken (``flair``)."""
    taken = says_acquisition(word.lower()) and any(word.lower() == own.lower() for own in names.words)
    return word in names.words or taken


def _is_counted(one: _Candidate, shared: _Shared) -> bool:
    """Whether a number counts the masks of one image: one without number is there, or several are and the image has its own
    number.
    """
    numbers = {rest for rest in shared.rests_of[one.images] if without_roles(rest).isdecimal() and not rest.isdecimal()}
    numbered = any(letter.isdecimal() for name in one.images for letter in stem(name))
    return _has_plain(one, shared) or (len(numbers) > 1 and numbered and one.role != "")


def _has_plain(one: _Candidate, shared: _Shared) -> bool:
    return (one.images, one.role.lower()) in shared.plain


def _unknown(mask: str, candidates: Collection[_Candidate], names: ImageNames) -> str:
    for one in sorted(candidates, key=lambda one: one.rank):
        if one.rest:
            return (
                f"Its name goes on from {legible(one.images[0])} with {legible(one.rest)!r}, which may name a structure or another "
                "image that is missing; name its image in a manifest."
            )
    hint = next((f" ({legible(name)} is written otherwise)" for name in _alike(mask, names)), "")
    says = "Its place or name says that it is a mask, but no image of its name is there"
    return f"{says}{hint}; add the image, or name it in a manifest."


def _alike(mask: str, names: ImageNames) -> Iterator[str]:
    """Images whose names differ from the mask's in case, zeros or separators alone: what a person may have meant."""
    wanted = loosely(without_roles(nfc(stem(mask))))
    if wanted:
        yield from names.by_loose_name.get(wanted, ())
