"""What casewise can do, in the words in which nnInteractive's client asks for it."""

from __future__ import annotations

from functools import cache

VERSION = "2.6.0"  # of the contract that is served


def capabilities() -> dict[str, object]:
    """The channels are nnInteractive's network's; its clients show them nowhere, and expect them to be there."""
    prompts = ("points", "bbox2d", "bbox3d", "scribble", "lasso")
    channels = {"prev_seg": 0, "bbox2d": [1, 2], "bbox3d": [1, 2], "lasso": [1, 2], "points": [3, 4], "scribble": [5, 6]}
    return {
        "supported_interactions": dict.fromkeys(prompts, True),
        "channel_mapping": channels,
        "num_interaction_channels": 7,
        "supports_initial_label": True,
        "supports_zero_shot_label_refinement": True,
        "preferred_scribble_thickness": [2, 2, 2],
        "interaction_decay": 1.0,
        "patch_size": None,
        "do_autozoom": True,
        "inference_session_version": VERSION,
        "license": _licence(),
        "supports_undo": True,
    }


@cache
def _licence() -> str:
    from casewise.models import shipped
    from casewise.models.listing import describe_model

    folders = [shipped.FOLDER / name for name in ("interactive_2d", "interactive_3d")]
    limited = [path.name for path in folders if describe_model(path)["research_only"]]
    return f"research use only ({', '.join(limited)})" if limited else "Apache-2.0"
