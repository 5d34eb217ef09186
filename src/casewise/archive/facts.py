"""What an image's header tells the catalogue, in the words by which cases are compared."""

from __future__ import annotations

from collections.abc import Mapping

from casewise.archive.layouts.words import sequence_in
from casewise.image import Image

# Columns of their own, or about the file rather than the image.
_APART = frozenset(
    "modality sequence age sex subject series format window photometric notes axes_note spacing_at sheared inverted alpha "
    "orientation_known spacing_known source".split()
)


def header_facts(header: Mapping[str, object]) -> dict[str, object]:
    """``modality``, ``sequence``, ``age``, ``sex``, ``subject`` where the header says them; a sequence by its common name (T2, ADC)."""
    facts = {name: header[name] for name in ("modality", "age", "sex", "subject") if header.get(name) not in (None, "")}
    described = header.get("sequence")
    if isinstance(described, str) and described:
        facts["sequence"] = sequence_in(described) or described
    return facts


def header_content(header: Mapping[str, object]) -> dict[str, object]:
    """The other plain values of the header: body part, view, manufacturer, scanner, …"""
    plain = {name: value for name, value in header.items() if name not in _APART and isinstance(value, str | int | float | bool)}
    if isinstance(header.get("sequence"), str):
        plain["series_description"] = header["sequence"]
    return {name: value for name, value in plain.items() if value == value and value != ""}  # noqa: PLR0124 - drops NaN


def content_of(image: Image) -> dict[str, object]:
    """What is known of an image at hand, under the names that the archive's cases have it under."""
    facts = header_facts(image.header)
    facts.pop("subject", None)
    return {**header_content(image.header), **facts}
