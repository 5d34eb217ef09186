"""Inpainting: a network that fills in removed parts as normal images have them, so that what differs is abnormal."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import msgspec

from casewise.models.tasks.encoding import Encoding
from casewise.models.tasks.settings import own_settings

Sign = Literal["brighter", "either"]
SIGNS: tuple[str, ...] = get_args(Sign)


class InpaintingSettings(msgspec.Struct, frozen=True):
    """holes : edges of the removed squares, in pixels. sign : which differences are abnormal. usual : usual differences
    (:class:`casewise.abnormality.residual_calibration.Usual`). normal : scores of normal images that it was not trained on.
    threshold : of the map, above which a part is reported.
    """

    holes: tuple[int, ...]
    sign: Sign = "either"
    usual: tuple[float, ...] | None = None
    normal: tuple[float, ...] | None = None
    threshold: float | None = None


@dataclass(frozen=True)
class Inpainting(Encoding):
    """Used by :mod:`casewise.abnormality`."""

    @cached_property
    def settings(self) -> InpaintingSettings:
        return own_settings(self.spec, InpaintingSettings)
