"""Frontal chest radiographs: the regions of lungs and heart, the cardiothoracic ratio, and nodules."""

from casewise.chest.region import Region, Regions, Remark
from casewise.chest.region_network import regions

__all__ = ["Region", "Regions", "Remark", "regions"]
