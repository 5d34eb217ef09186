"""Irregularities of any body region: a detector over segments at native resolution, its training, and how its marks are counted."""
