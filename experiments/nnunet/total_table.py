"""What TotalSegmentator says of its tasks, as the table that casewise keeps: folders, spacing, and the names of structures.

``PYTHONPATH=.peers/nnunet python experiments/nnunet/total_table.py > src/casewise/models/planned/totalsegmentator.toml``
"""

from __future__ import annotations

import re
import sys
import textwrap
from importlib.metadata import version
from typing import Any

import tomli_w

HEADER = """# Tasks of TotalSegmentator {version} (Wasserthal et al., Radiology: Artificial Intelligence 2023), written by
# experiments/nnunet/total_table.py: names of folders and structures, spacing (mm along R, A and S) and the share of a window by
# which it moves, as TotalSegmentator states them. Copyright the TotalSegmentator authors, Apache License 2.0,
# https://github.com/wasserth/TotalSegmentator. None of its code and no weights are here; the weights have licences of their own.
"""
# Of these there are no weights for all, or none for images that have not been cut by hand; nor do they have a table of their own.
_UNPUBLISHED = ("test", "total_highres_test")
_CUT_BEFORE = ("renal_arteries", "aorta_annulus", "aortic_dissection")
_CORRECTED = ("vertebrae_pp", "vertebrae_pp_refined")
_BODY = {"largest": ["body_trunc"], "smallest_mm3": {"body_extremities": 50_000}}  # its nnunet.py, for the task "body"
_FEWER_WINDOWS = ("total", "total_v3", "total_mr")  # its nnunet.py


def table() -> dict[str, Any]:
    """``models`` by number, ``tasks`` by name, and why other tasks are ``left_out``."""
    from totalsegmentator.map_tasks_config import TASK_CONFIGS

    found: dict[str, Any] = {"models": {}, "tasks": {}, "left_out": {}}
    for task, configuration in TASK_CONFIGS.items():
        if task in _UNPUBLISHED:
            continue
        for mode, own in configuration.get("sub_modes", {"default": configuration}).items():
            name = task if mode == "default" else f"{task}_{mode}"
            if why := _why_not(task, own):
                found["left_out"][name] = why
            else:
                _add(found, task, name, own)
    found["models"] = dict(sorted(found["models"].items(), key=lambda item: int(item[0])))
    return found


def _why_not(task: str, own: dict[str, Any]) -> str | None:
    if own.get("crop") or own.get("cascade"):
        return "TotalSegmentator first finds other structures with another model and cuts the image to them"
    if task in _CUT_BEFORE:
        return "it is for images that have been cut to the vessel already"
    return "TotalSegmentator corrects its answer by rules of its own" if task in _CORRECTED else None


def _add(found: dict[str, Any], task: str, name: str, own: dict[str, Any]) -> None:
    from totalsegmentator.map_tasks_config import TASK_ID_WEIGHTS_CONFIGS
    from totalsegmentator.map_to_binary import class_map, commercial_models

    numbers = own["task_id"] if isinstance(own["task_id"], list) else [own["task_id"]]
    for number in numbers:
        folds, spacing = own.get("folds", [0]), own.get("resample")
        model: dict[str, Any] = {
            "folder": TASK_ID_WEIGHTS_CONFIGS[number]["foldername"],
            "trained": f"{own['trainer']}__nnUNetPlans__{own.get('model', '3d_fullres')}",
            "step": 0.8 if task in _FEWER_WINDOWS else 0.5,
            "structures": _part(task, number) if len(numbers) > 1 else _ordered(class_map[task]),
        }
        if folds is not None:
            model["folds"] = folds
        if spacing is not None:
            model["spacing"] = [float(spacing)] * 3 if isinstance(spacing, int | float) else spacing
        if auxiliary := class_map.get(f"{task}_auxiliary"):
            model["structures"] = _ordered({**class_map[task], **auxiliary})
        if found["models"].setdefault(str(number), model) != model:
            raise ValueError(f"two tasks use the model {number} in different ways")
    entry: dict[str, Any] = {"models": numbers, "structures": _ordered(class_map[task])}
    found["tasks"][name] = entry | (_BODY if task == "body" else {}) | ({"licensed": True} if task in commercial_models else {})


def _part(task: str, number: int) -> list[str]:
    from totalsegmentator import map_to_binary as maps

    parts, names = {
        "total": (maps.class_map_5_parts, maps.map_taskid_to_partname_ct),
        "total_v3": (maps.class_map_5_parts_total_v3, maps.map_taskid_to_partname_ct_v3),
        "total_mr": (maps.class_map_parts_mr, maps.map_taskid_to_partname_mr),
    }[task]
    return _ordered(parts[names[number]])


def _ordered(names: dict[int, str]) -> list[str]:
    """Names by their numbers, which are 1, 2, 3 and so on."""
    if sorted(names) != list(range(1, len(names) + 1)):
        raise ValueError(f"numbers are missing among {sorted(names)}")
    return [names[number] for number in sorted(names)]


def written() -> str:
    """The whole file, its lists in lines that are full."""
    dense = re.sub(r"\[\n(.*?)\n\]", lambda found: _dense(found[1]), tomli_w.dumps(table()), flags=re.DOTALL)
    return HEADER.format(version=version("TotalSegmentator")) + "\n" + dense


def _dense(items: str) -> str:
    line = " ".join(items.split()).rstrip(",")
    return f"[{line}]" if len(line) < 100 else "[\n" + textwrap.indent(textwrap.fill(line, 124), "    ") + ",\n]"


if __name__ == "__main__":
    sys.stdout.write(written())
