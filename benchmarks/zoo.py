"""Which segmentation bundles of MONAI's model zoo casewise loads as they are published, and whether it answers what MONAI answers.

The configurations are those below tests/data/zoo, the weights random: no bundle is downloaded.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from benchmarks import driver
from benchmarks._zoo_monai import ZOO, monai_mask, with_weights
from benchmarks.tables import table
from casewise import formats
from casewise.errors import ModelError
from casewise.models import Model
from experiments import datasets

_PART = (slice(24, 74), slice(20, 56), slice(2, 26))  # a window of two or more for every bundle, in little time
_STORED = "PLI"
_ONLY_AXES = "is not certain: it has no Orientation, so its network sees the axes of each file as they lie; state axes. Describe"
Row = dict[str, Any]


def configurations() -> list[tuple[str, str]]:
    """(bundle, file) of each kept configuration that runs a network."""
    return [(path.parents[1].name, path.name) for path in sorted(ZOO.glob("*/configs/inference*"))]


def measured(bundle: str, file: str) -> Row:
    """Whether it loads; where it does, in how many voxels casewise's mask is not MONAI's."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / bundle
        row: Row = {"bundle": bundle, "file": file}
        try:
            with_weights(ZOO / bundle, folder, file)
            model, stated = _loaded(folder)
        except ModelError as error:
            return row | {"sentence": _shortened(str(error), folder)}
        row |= {"stated": "axes"} if stated else {}
        preparation = model.spec.preparation
        paths = [_picture()] if preparation.spatial_dims == 2 and not stated else _volumes(Path(made), preparation.channels)
        images = [formats.read(path) for path in paths]
        image = images[0].with_array(np.concatenate([one.array for one in images]))
        prediction = model.predict(image, device="cpu")
        ours = np.stack(list(prediction.masks().values())) if prediction.regions else prediction.mask
        row |= {
            "network": model.spec.network["name"],
            "parameters": sum(parameter.numel() for parameter in model.ready("cpu").parameters()),
            "structures": len(model.labels),
            "steps": [step["step"] for step in model.spec.preparation.to_toml()["steps"]],
            "voxels": int(ours.size),
        }
        try:
            theirs = monai_mask(folder, paths if len(paths) > 1 else paths[0], as_numbers=not prediction.regions)
        except RuntimeError as error:  # a published configuration that the present MONAI does not take any more
            return row | {"monai": _first_cause(error)}
        theirs = theirs.T if theirs.ndim == 2 else theirs  # MONAI reads a picture as (column, row)
        return row | {
            "differ": int((ours != theirs).sum()) if ours.shape == theirs.shape else None,
            "commonest": round(float(np.bincount(theirs.ravel()).max() / theirs.size), 3),
        }


def _loaded(folder: Path) -> tuple[Model, bool]:
    """The bundle's model, and whether that needed one line: how the volumes are stored that it was trained on."""
    try:
        return Model.load(folder), False
    except ModelError as error:
        if _ONLY_AXES not in str(error):
            raise
    (folder / "casewise.toml").write_text(f'[input]\naxes = "{_STORED}"\n', encoding="utf-8")
    return Model.load(folder), True


def _first_cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error)[:200]


def _picture() -> Path:
    return datasets.files("kinds/endoscopy/**/*.jpg")[0]


def _volumes(folder: Path, channels: int) -> list[Path]:
    """A part of a CT, stored along other axes than its networks see; of several channels, moved by a voxel each."""
    volume = nibabel.load(datasets.path("totalseg-example/example_ct_sm.nii.gz")).slicer[_PART]
    turned = volume.as_reoriented(nibabel.orientations.axcodes2ornt(_STORED))
    paths = [folder / f"ct-{number}.nii.gz" for number in range(channels)]
    for number, path in enumerate(paths):
        array = np.roll(np.asarray(turned.dataobj, np.float32), number, axis=0)
        nibabel.save(nibabel.Nifti1Image(array, turned.affine), path)
    return paths


def _shortened(sentence: str, folder: Path) -> str:
    """Without the folder's place, how to describe an input, and the list of all networks."""
    sentence = sentence.replace(f"What {folder} does to an image is not certain: ", "").replace(f"{folder}/", "")
    sentence = re.sub(r"\. Describe its input in .*|(?<=among those that casewise builds):.*", "", sentence, flags=re.DOTALL)
    return re.sub(r"; (export|write|compare) [^;]*\.$", "", sentence).replace("|", "/").removesuffix(".")


def _units(options: Any) -> list[driver.Unit]:
    return [driver.Unit(f"{bundle}/{file}", partial(measured, bundle, file)) for bundle, file in configurations()]


def figures(units: driver.Rows) -> Mapping[str, Any]:
    rows = list(units.values())
    every, refused = [row for row in rows if "sentence" not in row], [row for row in rows if "sentence" in row]
    loaded, stated = [row for row in every if "stated" not in row], [row for row in every if "stated" in row]
    head = ["bundle", "network", "weights, millions", "structures", "steps", "voxels that differ from MONAI's mask"]
    return {
        "loaded": table(head, [_loaded_line(row) for row in loaded]),
        "stated": table(head, [_loaded_line(row) for row in stated]),
        "refused": table(["bundle", "what is missing"], [[_name(row), row["sentence"]] for row in refused]),
        "count": len(loaded),
        "more": len(stated),
        "all": len(rows),
        "bundles": len({row["bundle"] for row in rows}),
        "commonest": max(row["commonest"] for row in every if "commonest" in row),
    }


def _loaded_line(row: Row) -> list[object]:
    steps = ", ".join(row["steps"])
    if "monai" in row:
        return [_name(row), row["network"], f"{row['parameters'] / 1e6:.1f}", row["structures"], steps, "MONAI does not run it"]
    share = "–" if row["differ"] is None else f"{row['differ']} of {row['voxels']:,}"
    return [_name(row), row["network"], f"{row['parameters'] / 1e6:.1f}", row["structures"], steps, share]


def _name(row: Row) -> str:
    return f"`{row['bundle']}`" + (f" ({row['file']})" if "_" in row["file"] else "")


BENCHMARK = driver.Benchmark("zoo", __doc__, _units, figures, threads=2)

if __name__ == "__main__":
    raise SystemExit(driver.run(BENCHMARK))
