"""Abnormality without labels: where an image differs from its synthesis by a network that knows normal images alone."""
