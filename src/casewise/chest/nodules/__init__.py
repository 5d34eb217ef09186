"""Nodules of a chest radiograph: a detector over segments, its training, false-positive reduction and FROC."""
