"""Which sequence an MR series is: T1, T1 post, T2, FLAIR, PD, ADC, or DWI of some b value.

People write the description, the machine the times and the image type. Where the two disagree the machine is believed, and a note
says so; where neither says, the series is left out, and a note says that as well.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence as Several
from dataclasses import dataclass, replace

from casewise.errors import UsageError
from casewise.formats.dicom.acquisition import Acquisition
from casewise.formats.dicom.sequence_words import derived_word
from casewise.formats.found import Found

BRAIN = ("FLAIR", "T1", "T1 post", "T2")
PROSTATE = ("T2", "ADC", "DWI")
# The grid that findings are reported on: lesions are outlined on FLAIR in brains, on T2 elsewhere.
_REFERENCES = ("FLAIR", "T2", "T1 post", "T1", "PD", "DWI", "ADC")
_LOCALIZER = re.compile(r"\b(loc|localis|localiz|scout|survey|3-?plane|smartbrain|aahead)", re.IGNORECASE)
_PERFUSION = re.compile(r"dce|perf|\bpwi|\bdsc|\bttp\b|\bcb[fv]\b|\bmtt\b", re.IGNORECASE)
# In this order: what a name says first of all.
_WORDS = (
    ("ADC", r"(?<!e)adc|apparent"),
    ("DWI", r"dwi|diff|trace|\bdti\b|\bep b\d|\bb ?\d{2,4}\b"),
    ("SWI", r"\bswi|\bt2 ?\*|t2 ?star|hemo|\bswan\b"),
    ("FLAIR", r"^(?!.*t1).*(flair|dark ?fluid)"),  # a "T1 FLAIR" is T1-weighted
    ("T1 post", r"t1.*(gd|gad|post|\+ ?c|\bc\b|\bce\b|ce$|contrast|\bkm\b)|t1ce|t1c\b|t1gd|(gd|gad|post|contrast).*t1"),
    ("T1", r"t1|mp ?rage|spgr|bravo|\bvibe"),
    ("T2", r"t2"),
    ("PD", r"\bpd|proton"),
)
_SECONDS = 10.0  # an inversion or repetition time below this was written in s, against the standard


@dataclass(frozen=True)
class Series:
    """A series under the name of its sequence.

    name : ``T2``, ``DWI b800``, ``T2 sagittal``, …; kind : the same without b value and plane. told_by : what the name rests on.
    """

    name: str
    kind: str
    found: Found
    told_by: str
    acquisition: Acquisition
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class LeftOut:
    """A series of the study that is no sequence of the examination, and why, in one sentence."""

    found: Found
    reason: str


def canonical(name: str) -> str:
    """A sequence's name as casewise writes it: ``t1ce`` and ``T1Gd`` are ``T1 post``, ``dwi_b800`` is ``DWI b800``.

    A name that means nothing to casewise is kept as it is. Raises UsageError for an empty one.
    """
    tidy = re.sub(r"[\s_]+", " ", name).strip()
    if not tidy or len(tidy) > 40 or not re.fullmatch(r"[\w .+*-]+", tidy):
        raise UsageError(f"A sequence has a name of letters and digits, such as FLAIR or 'DWI b800'; got {name[:60]!r}.")
    kind = of_description(tidy)
    if kind == "DWI":
        number = re.search(r"b ?[=-]? ?(\d+)", tidy, re.IGNORECASE)
        return f"DWI b{int(number[1])}" if number else "DWI"
    plain = re.fullmatch(
        r"(t1|t2|flair|pd|adc|swi|t1 ?-?(post|ce|c|gd|gad|\+ ?c|km|contrast)|t2 ?w|t1 ?w|mprage)", tidy, re.IGNORECASE
    )
    return kind if kind is not None and plain else tidy


def kind_of(name: str) -> str:
    """``DWI`` of ``DWI b800``, ``T2`` of ``T2 sagittal``; any other name as it is."""
    return re.sub(r" (b\d+|sagittal|coronal|axial|calculated)\b", "", name)


def reference_of(names: Several[str]) -> str:
    """The sequence that the others are brought to: FLAIR, else T2, T1 post, T1, PD, DWI, ADC; else the first named."""
    ranked = [name for kind in _REFERENCES for name in sorted(names, key=len) if kind_of(name) == kind]
    return ranked[0] if ranked else names[0]


def expected(names: Several[str], body_part: str) -> tuple[str, ...]:
    """The sequences that such an examination usually has: of the brain, of the prostate; none where it is of something else."""
    kinds = {kind_of(name) for name in names}
    if "FLAIR" in kinds or body_part in ("BRAIN", "HEAD", "SKULL"):
        return BRAIN
    return PROSTATE if body_part == "PROSTATE" else ()


def of_description(description: str) -> str | None:
    """What a description or a file's name says; None where it says nothing that is known, or names a mask or a computed image."""
    if derived_word(description):
        return None
    words = re.sub(r"[^\w*+]+|_+", " ", description.lower())
    return next((kind for kind, pattern in _WORDS if re.search(pattern, words)), None)


def of_parameters(acquired: Acquisition) -> str | None:
    """What times, contrast medium, b value and image type say; None where they fit several sequences or are not there."""
    if "ADC" in acquired.image_type:
        return "ADC"
    if "DIFFUSION" in acquired.image_type or acquired.b_value is not None:
        return "DWI"
    echo, repetition, inversion = acquired.echo_time, _ms(acquired.repetition_time), _ms(acquired.inversion_time)
    if echo is None or repetition is None:
        return None
    weighted_t1 = "T1 post" if acquired.contrast else "T1"
    if acquired.gradient_echo:
        return weighted_t1 if inversion is not None and 300 <= inversion <= 1300 and echo < 10 else None
    if inversion is not None and inversion >= 1500:
        return "FLAIR" if echo >= 60 else None
    if repetition >= 1500 and echo >= 60:
        return "T2"
    if repetition >= 1500 and echo <= 35 and not inversion:
        return "PD"
    return weighted_t1 if repetition <= 1200 and echo <= 30 and not inversion else None


def named(entries: Several[tuple[Found, Acquisition]]) -> tuple[list[Series], list[LeftOut]]:
    """The sequences among a study's images, and what is none.

    Of two images that would have one name the later is taken; a note on it names the other.
    """
    series: list[Series] = []
    left_out: list[LeftOut] = []
    for found, acquired in entries:
        reason = _why_none(found, acquired)
        if reason:
            left_out.append(LeftOut(found, reason))
        else:
            series.append(_series(found, acquired))
    for number, entry in enumerate(series):
        series[number] = replace(entry, name=_full_name(entry, series))
    return _without_repetitions(series, left_out)


def _why_none(found: Found, acquired: Acquisition) -> str:
    what = _named_series(acquired)
    if acquired.modality != "MR":
        return f"{what} is of modality {acquired.modality or 'unknown'}, and only MR sequences are grouped."
    if "LOCALIZER" in acquired.image_type or _LOCALIZER.search(acquired.description) or acquired.slices < 3 or not acquired.plane:
        return f"{what} is a localizer or has too few slices to be registered ({acquired.slices})."
    derived = acquired.derived or derived_word(acquired.description)
    if derived:
        return f"{what} is a mask or computed from other images ({derived!r}), not a sequence as it was taken."
    if _PERFUSION.search(acquired.description.replace("_", " ")):
        return f"{what} is of a perfusion or contrast series in time, which is not grouped."
    if of_description(acquired.description) is None and of_parameters(acquired) is None:
        return f"{what} is known by neither its description nor its times; name it with --sequence NAME={found.path}."
    return ""


def _series(found: Found, acquired: Acquisition) -> Series:
    said, measured = of_description(acquired.description), of_parameters(acquired)
    what, times = _named_series(acquired), _times(acquired)
    if measured is None or said == measured:
        return Series(said or "", said or "", found, "description" if measured is None else "description and parameters", acquired)
    if said is None:
        note = f"{what} does not say what it is; by {times} it is {measured}."
        return Series(measured, measured, found, "parameters", acquired, (note,))
    if {said, measured} == {"T1", "T1 post"}:
        return Series("T1 post", "T1 post", found, "description and contrast medium", acquired)
    if measured in ("T1", "T1 post", "T2", "PD") and said in ("FLAIR", "SWI") and acquired.inversion_time is None:
        return Series(said, said, found, "description", acquired)  # the times alone do not set it apart from those
    note = f"{what} describes itself as {said}, but {times} are those of {measured}: it was taken as {measured}."
    return Series(measured, measured, found, "parameters, against the description", acquired, (note,))


def _full_name(entry: Series, others: Several[Series]) -> str:
    acquired = entry.acquisition
    value = f" b{acquired.b_value:.0f}" if entry.kind == "DWI" and acquired.b_value is not None else ""
    planes = {other.acquisition.plane for other in others if other.kind == entry.kind}
    usual = "axial" if "axial" in planes else sorted(planes)[0]
    return entry.kind + value + (f" {acquired.plane}" if acquired.plane != usual else "")


def _without_repetitions(series: Several[Series], left_out: list[LeftOut]) -> tuple[list[Series], list[LeftOut]]:
    same: dict[str, list[Series]] = defaultdict(list)
    for entry in series:
        same[entry.name].append(entry)
    kept = []
    for name, entries in same.items():
        *earlier, last = sorted(entries, key=lambda entry: entry.acquisition.order)
        notes = list(last.notes)
        for other in earlier:
            reason = (
                f"Two series are both {name}: {_named_series(other.acquisition)} was set aside for the later, "
                f"{_named_series(last.acquisition)}; {_choose(name, other.found, last.found)}"
            )
            notes.append(reason)
            left_out.append(LeftOut(other.found, reason))
        kept.append(replace(last, notes=tuple(notes)))
    return kept, left_out


def _choose(name: str, other: Found, last: Found) -> str:
    if other.path == last.path:
        return f"to take it, put its files into a folder of their own and name that by --sequence '{name}=FOLDER'."
    return f"to take it, name it by --sequence '{name}={other.path}'."


def _named_series(acquired: Acquisition) -> str:
    return f"Series {acquired.order[0]}" + (f" ({acquired.description!r})" if acquired.description else "")


def _times(acquired: Acquisition) -> str:
    if acquired.b_value is not None or "ADC" in acquired.image_type:
        return "the image type or b value"
    parts = [
        ("echo", acquired.echo_time),
        ("repetition", _ms(acquired.repetition_time)),
        ("inversion", _ms(acquired.inversion_time)),
    ]
    return ", ".join(f"{name} time {value:g} ms" for name, value in parts if value is not None)


def _ms(value: float | None) -> float | None:
    return None if value is None else value * 1000 if 0 < value < _SECONDS else value
