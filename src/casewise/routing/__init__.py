"""Routing: the pixels say what an image shows, and so which applications look at it."""

import lazy_loader

# Imported when first used: the commands that only list applications need no network.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
