"""The demonstration: the whole way of an image, on real images that come inside installed packages."""

import lazy_loader

# Imported when first used: the simulation alone needs neither torch nor an archive.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
