"""casewise: medical-image AI that adapts to the case in front of it."""

import lazy_loader

__version__ = "0.1.0"

# The names stand in __init__.pyi and are imported when first used: `import casewise` and every command line start at once.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
