"""Models: a network, its weights and its origin; how they are kept, loaded and used."""

import lazy_loader

# Imported when first used: listing models needs no torch, which takes seconds to import.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
