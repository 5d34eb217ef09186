"""Routing: from the pixels, what kind of image it is, and so which applications run on it."""

import lazy_loader

# Imported when first used: the commands that only list applications need no network.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
