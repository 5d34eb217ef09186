"""The applications that come with casewise."""

from __future__ import annotations

from casewise.applications.declared import ANY, Declared, PythonRun

BUILT_IN = (
    Declared(
        "quality",
        (ANY,),
        ("clipping", "blur", "noise", "cropped anatomy", "wrong polarity", "burnt-in text"),
        PythonRun("casewise.applications.quality:Quality"),
        "What makes the image itself doubtful, before anything is read from it.",
        seconds=60.0,
        memory_mb=4096.0,
        origin="casewise",
    ),
)
