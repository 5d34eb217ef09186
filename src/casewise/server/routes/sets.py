"""Calls on sets."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter(tags=["sets"])
