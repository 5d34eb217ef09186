"""What a call analyses: files, folders, or the named sequences of one examination."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from casewise.errors import UsageError
from casewise.examination.reading import Source


def sources(
    images: Sequence[Path],
    sequences: Sequence[tuple[str, Path]] = (),
    reference: str | None = None,
    register: str | None = None,
) -> list[Path | Source]:
    """What is analysed: one examination of named sequences, or files and folders, with the examination's settings where given.

    Raises UsageError for both, for neither, and for settings of an examination beside a file.
    """
    way = register or "rigid"
    if sequences:
        if images:
            given = ", ".join(str(image) for image in images[:3])
            msg = f"--sequence names the images of one examination, and {given} came beside it; analyse one or the other."
            raise UsageError(msg)
        return [Source(tuple(sequences), None, reference, way)]
    if not images:
        msg = "Name an IMAGE: a file, a folder, or sequences by --sequence NAME=IMAGE. See 'casewise analyze --help'."
        raise UsageError(msg)
    if reference is None and register is None:
        return list(images)
    if pictures := [str(image) for image in images if not image.is_dir()]:
        raise UsageError(f"--reference and --register are for examinations; {pictures[0]} is no folder of one.")
    return [Source(folder=image, reference=reference, way=way) for image in images]
