"""Applications: what looks at an image and says what it found."""

import lazy_loader

# Imported when first used: a process that runs one application does not wait for the libraries of the others.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
