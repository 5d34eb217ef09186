"""The archive: images, their labels and where they came from, found again by content and by likeness."""

import lazy_loader

# Imported when first used: SQLAlchemy takes longer to import than a command may take to start.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
