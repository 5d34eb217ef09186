"""The interactive models of a server: each loaded once, shared by all sessions, and found again by its key after a restart."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from casewise.archive import Archive
from casewise.errors import ModelError
from casewise.image import Image
from casewise.server import prepared

if TYPE_CHECKING:
    from casewise.models import Model


class Networks:
    """Interactive models by name and by key. For use from any thread."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._lock = threading.Lock()
        self._by_key: dict[str, Model] = {}

    def chosen(self, image: Image, name: str | None = None) -> Model:
        """The model of a name (the archive's, or one that comes with casewise), or without one the one for images like this."""
        from casewise.interaction.session import interactive_model
        from casewise.models import shipped
        from casewise.models.registry import path_of, registered

        if name is None or name in shipped.names():
            return self.known(interactive_model(name, image))
        folders = registered(self._archive)
        if name not in {own for own, _ in folders}:
            msg = f"There is no model called {name!r} here; leave it out for the one that comes with casewise."
            raise ModelError(msg)
        from casewise.models import Model

        return self.known(Model.load(path_of(name, folders)))

    def known(self, model: Model) -> Model:
        """``model``, or the one of its key that is loaded already."""
        with self._lock:
            return self._by_key.setdefault(model.key, model)

    def of_key(self, key: str) -> Model:
        """The model that a session was begun with. Raises ModelError where it is gone."""
        from casewise.models import Model, shipped

        with self._lock:
            if key in self._by_key:
                return self._by_key[key]
        for name in ("interactive_2d", "interactive_3d"):
            if name in shipped.names() and (model := shipped.load(name)).key == key:
                return self.known(model)
        places = [Path(str(entry["path"])) for entry in self._archive.models() if entry["key"] == key]
        found = next((place for place in places if place.exists()), None)
        try:
            return self.known(prepared.load_model(self._archive.folder, key) if found is None else Model.load(found))
        except ModelError as error:
            msg = "The model that this session was begun with is no longer here; begin a new session."
            raise ModelError(msg) from error

    def warm(self, spatial_dims: int = 2) -> None:
        """Load what a first round needs, by one on a small image of noise."""
        import numpy as np

        from casewise.interaction import InteractiveSegmentation

        side = 32
        shape = (side,) * 2 if spatial_dims == 2 else (side, side, 8)
        image = Image(np.random.default_rng(0).integers(0, 255, (1, *shape)).astype(np.uint8))
        box = [(8, 24), (8, 24), (2, 6)][:spatial_dims]
        outline = InteractiveSegmentation(self.chosen(image), image, box)
        outline.add_scribbles([[16, 16, 4][:spatial_dims]])
