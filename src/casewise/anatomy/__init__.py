"""Anatomy: where the regions of the body lie in an image, and how they are cut into segments."""

from casewise.anatomy.segments import Segment, Segments, segments

__all__ = ["Segment", "Segments", "segments"]
