"""Interactive segmentation: a box, then strokes, in pictures and volumes, of objects that no model was trained on."""

import lazy_loader

# Imported when first used: torch takes seconds to import.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
