"""Interactive segmenters: one object, marked by a box and strokes that come as channels beside the image."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import msgspec

from casewise.models.networks.prompts import prompts_of
from casewise.models.tasks.segmentation import Segmentation
from casewise.models.tasks.settings import own_settings


class InteractiveSettings(msgspec.Struct, frozen=True):
    """upright : whether the model was refined on pictures as they lie, so that it is not asked about their mirror images."""

    upright: bool = False


@dataclass(frozen=True)
class Interactive(Segmentation):
    """Used by :class:`casewise.interaction.InteractiveSegmentation`, which makes its prompts."""

    @cached_property
    def settings(self) -> InteractiveSettings:
        return own_settings(self.spec, InteractiveSettings)

    @property
    def prompts(self) -> tuple[str, ...]:
        """Names of the channels beside the image, in order."""
        return prompts_of(self.spec.network)
