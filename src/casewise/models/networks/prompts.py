"""What an interactive network is given beside the image, channel by channel; one order for every such network."""

from __future__ import annotations

from torch import Tensor

from casewise.errors import ModelError

# box: 1 inside. foreground, background: nearness to the strokes. previous: the answer before them. near_foreground,
# near_background: nearness along paths of even intensity. distances: the logit that those paths alone give.
PROMPTS = ("box", "foreground", "background", "previous", "near_foreground", "near_background", "distances")


def check_prompted(x: Tensor, channels: int) -> None:
    """Raise ModelError where the image comes without the prompts."""
    if x.shape[1] != channels + len(PROMPTS):
        msg = (
            f"This model segments what a box and strokes show, and was given {x.shape[1]} channels instead of "
            f"{channels + len(PROMPTS)}; use casewise.interaction.InteractiveSegmentation or `casewise segment --box`."
        )
        raise ModelError(msg)
