"""nnInteractive's remote contract, below ``/nninteractive/``: napari, 3D Slicer and MITK segment with casewise, unchanged."""

from casewise.server.compat.nninteractive.routes import router

__all__ = ["router"]
