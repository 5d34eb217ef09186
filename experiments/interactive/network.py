"""The interactive network and the grids that a session takes: what recipes and the comparison of networks share."""

from __future__ import annotations

from casewise.case import Structure

OBJECT = Structure.parse("object")


AS_SEEN = ((1.0, 16.0, 65.0, 0.5), (1.5, 48.0, 98.0, 0.25), (2.0, 90.0, 400.0, 0.25))  # the grids that a session takes


NETWORK = {"kind": "prompt_unet", "channels": [16, 32, 64, 128, 160]}
