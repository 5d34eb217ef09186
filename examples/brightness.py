"""A program by the folder contract that casewise shares with mercure: it knows nothing of casewise.

It reads ``task.json`` and every DICOM file of its in folder (``seriesUID#instanceUID.dcm``), and writes ``result.json`` and a CSV
file to its out folder. Run by mercure, it gets the same.
"""

import csv
import json
import os
from pathlib import Path

import pydicom

inside = Path(os.environ["MERCURE_IN_DIR"])
out = Path(os.environ["MERCURE_OUT_DIR"])
settings = json.loads((inside / "task.json").read_text())["process"]["settings"]

means = {}
for path in sorted(inside.glob("*#*.dcm")):
    dataset = pydicom.dcmread(path)
    means[dataset.SOPInstanceUID] = float(dataset.pixel_array.mean())

with (out / "means.csv").open("w", newline="") as file:
    csv.writer(file).writerows([("instance", "mean"), *means.items()])

bright = sum(mean > settings.get("threshold", 100) for mean in means.values())
document = {
    "instances": len(means),
    "mean": sum(means.values()) / len(means),
    "bright": bright,
    "__mercure_notification": {"text": f"{bright} of {len(means)} instances are bright"},
}
(out / "result.json").write_text(json.dumps(document))
