"""What every application is: something with a name that looks at an image and answers with findings."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from casewise.finding import Finding
from casewise.image import Image


@runtime_checkable
class Application(Protocol):
    """name : by which findings, reports and the command line know it; lower case, no spaces."""

    @property
    def name(self) -> str: ...

    def analyze(self, image: Image) -> list[Finding]:
        """What the application sees in ``image``, the most important first; an empty list when it sees nothing.

        Boxes count voxels of ``image``'s spatial axes. Raises CasewiseError, one sentence, for an image it cannot look at.
        """
        ...
