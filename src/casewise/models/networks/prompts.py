"""What an interactive network is given beside the image, channel by channel; a model's settings name those that it takes."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from casewise.errors import ModelError

# box: 1 inside. foreground, background: nearness to the strokes. previous: the answer before them. near_foreground,
# near_background, near_outside: nearness to the strokes and to the box's outside along paths of even intensity. likelihood: of the
# object, by the intensities of strokes, box and its outside; stroke_likelihood: of the strokes alone. prior: where other
# images' masks see the object, 0 where nothing is known. slack: how far inside the box, up to as far as boxes are drawn too
# large: an object comes into that margin on every side. distances: the logit that the paths alone give; always the last, since a
# network's head passes it on. Of volumes alone slack_through: the same as slack across the planes.
PROMPTS = (
    "box",
    "foreground",
    "background",
    "previous",
    "near_foreground",
    "near_background",
    "near_outside",
    "likelihood",
    "stroke_likelihood",
    "prior",
    "slack",
    "distances",
)
OF_VOLUMES = ("slack_through",)
DEFAULT = ("box", "foreground", "background", "previous", "near_foreground", "near_background", "distances")


def prompts_of(settings: Mapping[str, object]) -> tuple[str, ...]:
    """The prompts that a network takes, by the ``prompts`` of its settings. Raises ModelError for others than :data:`PROMPTS` and
    :data:`OF_VOLUMES`.
    """
    given = settings.get("prompts", DEFAULT)
    known = (*OF_VOLUMES, *PROMPTS)
    if not isinstance(given, list | tuple) or not set(given) <= set(known) or not given or given[-1] != "distances":
        msg = f"An interactive network's prompts are some of {', '.join(known)}, distances last; got {given!r}."
        raise ModelError(msg)
    return tuple(given)


def check_prompted(x: Tensor, channels: int) -> None:
    """Raise ModelError where the input has not ``channels``: the image comes without the prompts."""
    if x.shape[1] != channels:
        msg = (
            f"This model segments what a box and strokes show, and was given {x.shape[1]} channels instead of "
            f"{channels}; use casewise.interaction.InteractiveSegmentation or `casewise segment --box`."
        )
        raise ModelError(msg)
