"""Anatomy: where the regions of the body lie in an image, and how they are cut into segments."""

from casewise.anatomy.regions import Region, Regions, Remark, regions
from casewise.anatomy.segments import Segment, Segments, segments

__all__ = ["Region", "Regions", "Remark", "Segment", "Segments", "regions", "segments"]
