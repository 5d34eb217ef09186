"""Calls on cases."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter(tags=["cases"])
