"""Examples of the category that an image was routed to: the cases of an archive that are most like the image."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from casewise.errors import CasewiseError
from casewise.image import Image
from casewise.names import same_category
from casewise.progress import Progress, silent
from casewise.result import SimilarCase
from casewise.routing.route import UNKNOWN

if TYPE_CHECKING:
    from casewise.archive import Archive
    from casewise.encoder import Encoder

DISPLAYED = 4


class Examples:
    """encoder : by whose vectors, beside the content, images are compared; ``archive`` keeps them, and makes those it lacks."""

    def __init__(self, archive: Archive, encoder: Encoder, progress: Progress = silent) -> None:
        self._archive, self._encoder, self._progress = archive, encoder, progress

    def nearest(self, image: Image, category: str, k: int = DISPLAYED) -> tuple[tuple[SimilarCase, ...], str | None]:
        """Up to ``k`` cases of ``category``, most like ``image`` first, ``image`` itself left out; or none, and a sentence why.

        Capitals, blanks, ``-`` and ``_`` in the archive's names of categories do not matter. An *unknown* image has no examples.
        """
        if same_category(category, UNKNOWN):
            return (), None
        from casewise.archive import Selection

        where = Selection(categories=frozenset(name for name in self._categories if same_category(name, category)))
        try:
            found = []
            if where.categories:
                found = self._archive.similar(image, k=k, encoder=self._encoder, where=where, progress=self._progress)
        except CasewiseError as error:
            return (), f"The archive's examples of {category} could not be compared with this image: {error}"
        return tuple(found), None if found else f"The archive has no other image of the category {category} to show as an example."

    def images(self, cases: Sequence[SimilarCase]) -> dict[str, Image]:
        """The cases' images by key; those whose files cannot be read any more are missing."""
        images = {}
        for case in self._archive.cases(keys={case.key for case in cases}) if cases else []:
            try:
                images[case.key] = case.image
            except (CasewiseError, OSError):  # the report shows its name without a picture
                continue
        return images

    @cached_property
    def _categories(self) -> tuple[str, ...]:
        """The archive's names of categories, read once: a call's images are routed to a few of them again and again."""
        return tuple(self._archive.categories())
