"""The protocol of nninteractive's clients."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter(include_in_schema=False)
