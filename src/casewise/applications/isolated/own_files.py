"""Which of the images that lie at a task's source is its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from casewise.applications.isolated.task import Task
from casewise.applications.outcome import refused

if TYPE_CHECKING:
    from casewise.formats import Found


def own_images(task: Task) -> list[Found]:
    """What the task's file or folder holds of its image: of a folder one, of a file all that it holds; [] of what is none.

    A folder of one image needs no member; of several it says which. Raises ApplicationError, a clause, where that is not certain:
    nobody may be given another image's files.
    """
    from casewise.formats import Found, scan

    found = [item for item in scan(task.source, recursive=False) if isinstance(item, Found)]
    if not task.source.is_dir() or len(found) < 2:
        return found
    own = [item for item in found if item.member == task.member]
    if len(own) != 1:
        raise refused(
            "cannot be given the image: its folder holds others, and which files are its own is not certain; give it alone"
        )
    return own
