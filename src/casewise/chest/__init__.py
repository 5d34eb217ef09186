"""Frontal chest radiographs: the regions of lungs and heart, the cardiothoracic ratio, and nodules."""

from casewise.chest.regions import Region, Regions, Remark, regions

__all__ = ["Region", "Regions", "Remark", "regions"]
