"""The whole way of an image: read → route → similar cases → refine → predict, beside it the route's applications → report."""

import lazy_loader

# Imported when first used: the command line's help needs no network.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
