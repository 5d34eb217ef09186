"""Training: the one loop, and the initial models made with it."""

from casewise.training.fit import Settings, fit

__all__ = ["Settings", "fit"]
