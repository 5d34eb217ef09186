"""MONAI Label's Python client, and the copy of it in 3D Slicer's module, against the server."""

from __future__ import annotations

import numpy as np

from casewise.image import Image
from tests.server.compat.monailabel.conftest import PythonClient, Served


def test_info_smoke(client: PythonClient, served: Served) -> None:
    served.archive.add(Image(np.zeros((1, 20, 20, 8), np.int16)), name="empty")
    info = client("info")
    assert isinstance(info["labels"], list)
