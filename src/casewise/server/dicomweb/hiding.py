"""What of a person leaves the server by DICOMweb."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from casewise.formats.dicom.nameless import meta_without_names, without_names

NOBODY = "unknown"


@dataclass(frozen=True)
class Hiding:
    """names : whether names and identifiers are hidden."""

    names: bool

    def hide(self, header: Any, subject: str | None, *, made: bool) -> None:
        """Replace names in a header where they are hidden. subject : the pseudonym in their place. made : whether the object was
        made here, so that its descriptions are not a person's words.
        """
        if self.names:
            without_names(header, subject or NOBODY, descriptions=made)

    def hide_in_file(self, header: Any, meta: Any, subject: str | None, *, made: bool) -> None:
        if self.names:
            self.hide(header, subject, made=made)
            meta_without_names(meta)

    def is_given(self, sop_class: str, made: bool) -> bool:
        """Whether instances of a class are given: where names are hidden not those that hold a person's text or a document."""
        return made or not (self.names and sop_class.startswith(_TEXTS))


_TEXTS = ("1.2.840.10008.5.1.4.1.1.88.", "1.2.840.10008.5.1.4.1.1.104.")  # structured reports, encapsulated documents
