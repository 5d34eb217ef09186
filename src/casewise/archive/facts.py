"""What the catalogue takes from an image's header, in the words by which cases are compared."""

from __future__ import annotations

import math

from casewise.archive.words import sequence_in
from casewise.header import Header
from casewise.image import Image

# Columns of their own, or about the file rather than the image.
_APART = frozenset({
    "modality", "sequence", "age", "sex", "subject", "series", "instance", "format", "window", "photometric", "notes", "axes_note",
    "spacing_at", "third_axis", "sheared", "inverted", "alpha", "orientation_known", "spacing_known", "single_axis",
    "source",
})  # fmt: skip


def header_facts(header: Header) -> dict[str, object]:
    """What the header says of ``modality``, ``sequence`` (by its common name: T2, ADC), ``age``, ``sex``."""
    facts: dict[str, object] = {"modality": header.modality, "age": header.age, "sex": header.sex}
    facts = {name: value for name, value in facts.items() if value not in (None, "")}
    if header.sequence:
        facts["sequence"] = sequence_in(header.sequence) or header.sequence
    return facts


def header_content(header: Header) -> dict[str, object]:
    """The other plain values of the header: body part, view, manufacturer, scanner, …"""
    plain: dict[str, object] = {name: value for name, value in header.to_json().items() if name not in _APART and _is_plain(value)}
    if header.sequence is not None:
        plain["series_description"] = header.sequence
    return plain


def _is_plain(value: object) -> bool:
    """Whether JSON can hold it and it says something."""
    return (value != "" and isinstance(value, str | int | bool)) or (isinstance(value, float) and math.isfinite(value))


def content_of(image: Image) -> dict[str, object]:
    """What is known of an image at hand, under the names that the archive's cases have it under."""
    return {**header_content(image.header), **header_facts(image.header)}
