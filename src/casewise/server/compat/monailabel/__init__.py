"""MONAI Label's REST, as 3D Slicer's and OHIF's plug-ins and its own Python client speak it."""

from __future__ import annotations

from fastapi import APIRouter

from casewise.server.compat.monailabel import (
    auth,
    batch,
    choosing,
    datastore,
    infer,
    info,
    logs,
    model_files,
    own_images,
    saving,
    training,
)

router = APIRouter(include_in_schema=False)
for _subject in (auth, info, infer, choosing, datastore, saving, own_images, training, batch, model_files, logs):
    router.include_router(_subject.router)
