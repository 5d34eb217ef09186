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
            model = Model.load(folder)
        except ModelError as error:
            return row | {"sentence": _shortened(str(error), folder)}
        path = _picture() if model.spec.preparation.spatial_dims == 2 else _volume(Path(made))
        ours, theirs = model.predict(formats.read(path), device="cpu").mask, monai_mask(folder, path)
        theirs = theirs.T if theirs.ndim == 2 else theirs  # MONAI reads a picture as (column, row)
        return row | {
            "network": model.spec.network["name"],
            "parameters": sum(parameter.numel() for parameter in model.ready("cpu").parameters()),
            "structures": len(model.labels),
            "steps": [step["step"] for step in model.spec.preparation.to_toml()["steps"]],
            "voxels": int(ours.size),
            "differ": int((ours != theirs).sum()) if ours.shape == theirs.shape else None,
            "commonest": round(float(np.bincount(theirs.ravel()).max() / theirs.size), 3),
        }


def _picture() -> Path:
    return datasets.files("kinds/endoscopy/**/*.jpg")[0]


def _volume(folder: Path) -> Path:
    """A part of a CT, stored along other axes than its networks see."""
    volume = nibabel.load(datasets.path("totalseg-example/example_ct_sm.nii.gz")).slicer[_PART]
    turned = volume.as_reoriented(nibabel.orientations.axcodes2ornt("PLI"))
    nibabel.save(nibabel.Nifti1Image(np.asarray(turned.dataobj, np.float32), turned.affine), folder / "ct.nii.gz")
    return folder / "ct.nii.gz"


def _shortened(sentence: str, folder: Path) -> str:
    """Without the folder's place, how to describe an input, and the list of all networks."""
    sentence = sentence.replace(f"What {folder} does to an image is not certain: ", "").replace(f"{folder}/", "")
    sentence = re.sub(r"\. Describe its input in .*|(?<=among those that casewise builds):.*", "", sentence, flags=re.DOTALL)
    return re.sub(r"; (export|write|compare) [^;]*\.$", "", sentence).replace("|", "/").removesuffix(".")


def _units(options: Any) -> list[driver.Unit]:
    return [driver.Unit(f"{bundle}/{file}", partial(measured, bundle, file)) for bundle, file in configurations()]


def figures(units: driver.Rows) -> Mapping[str, Any]:
    rows = list(units.values())
    loaded, refused = [row for row in rows if "sentence" not in row], [row for row in rows if "sentence" in row]
    waiting = [row for row in refused if "overlap" in row["sentence"]]
    head = ["bundle", "network", "weights, millions", "structures", "steps", "voxels that differ from MONAI's mask"]
    return {
        "loaded": table(head, [_loaded(row) for row in loaded]),
        "waiting": table(["bundle", "what is missing"], [[_name(row), row["sentence"]] for row in waiting]),
        "refused": table(["bundle", "what is missing"], [[_name(row), row["sentence"]] for row in refused if row not in waiting]),
        "count": len(loaded),
        "all": len(rows),
        "bundles": len({row["bundle"] for row in rows}),
        "commonest": max(row["commonest"] for row in loaded),
    }


def _loaded(row: Row) -> list[object]:
    steps = ", ".join(row["steps"])
    share = "–" if row["differ"] is None else f"{row['differ']} of {row['voxels']:,}"
    return [_name(row), row["network"], f"{row['parameters'] / 1e6:.1f}", row["structures"], steps, share]


def _name(row: Row) -> str:
    return f"`{row['bundle']}`" + (f" ({row['file']})" if "_" in row["file"] else "")


BENCHMARK = driver.Benchmark("zoo", __doc__, _units, figures, threads=2)

if __name__ == "__main__":
    raise SystemExit(driver.run(BENCHMARK))
