"""What the demonstration's report says beside the analysis: what is real, what is simulated, and how accurate it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np

from casewise.demo.accuracy import Accuracy
from casewise.demo.sites import KNOWN_SITES, UNSEEN_SITE
from casewise.reporting.chart import BarChart
from casewise.reporting.report import Section

REAL_AND_SIMULATED = (
    "Real: the anatomy, its tissue maps and the texture within a tissue (the MNI152 template, an average of 152 people, from "
    "nilearn; © 1993-2009 Louis Collins, McConnell Brain Imaging Centre, Montreal Neurological Institute, McGill University), "
    "and five files of other kinds in the archive, which come with pydicom and nibabel.",
    "Simulated: each patient's shape (size, tilt and a smooth random deformation) and each scanner's contrast, coil field, "
    "sharpness and noise; all patients descend from one anatomy and have no skull. No pixel of this image is as a scanner gave it.",
    "So the figures show that the machinery works, not how well it would do in a hospital. Licences: images/SOURCES.md.",
)


def sections(new: Accuracy, further: Sequence[Accuracy], known: Sequence[float]) -> list[Section]:
    """The report's part on accuracy, as measured, whatever it came to."""
    before, after = (np.array([getattr(one, name) for one in further]) for name in ("before", "after"))
    sentences = (
        f"Against the true masks, mean Dice of grey and white matter. This image: {new.before:.3f} with the first model, "
        f"{new.after:.3f} with the model used.",
        f"{len(further)} further images of site {UNSEEN_SITE.name}, each with its own refinement: {before.mean():.3f} before, "
        f"{after.mean():.3f} after; the largest loss of an image was {max(0.0, float((before - after).max())):.3f}.",
        f"The first model on {len(known)} unseen images of the sites it was trained on ({', '.join(s.name for s in KNOWN_SITES)}): "
        f"{np.mean(known):.3f}. It was trained from random weights within this demonstration.",
    )
    bars = {
        "this image, before": new.before,
        "this image, after": new.after,
        f"{len(further)} further, before": float(before.mean()),
        f"{len(further)} further, after": float(after.mean()),
        "known sites": float(np.mean(known)),
    }
    return [Section("Accuracy, as measured", sentences, BarChart(bars, "Dice (1 is perfect)"))]


def describe(summary: Mapping[str, object]) -> list[str]:
    """The summary of :func:`casewise.demo.run` as lines for a terminal."""
    further = cast("dict[str, list[float]]", summary["further"])
    similar = cast("list[dict[str, object]]", summary["similar"])
    sites = [str(case["site"]) for case in similar]
    seconds = cast("dict[str, float]", summary["seconds"])
    known = cast("list[float]", summary["dice_known_sites"])
    used = "the model was refined on similar cases" if summary["refined"] else "the first model was kept"
    return [
        f"An archive of {summary['images']} images, and a new image from a scanner that the model never saw; {used}.",
        f"Similar cases: {len(similar)}, of these {sites.count(UNSEEN_SITE.name)} of the new scanner. Sheet: {summary['sheet']}",
        f"Dice of the new image: {summary['dice_before']:.3f} before, {summary['dice_after']:.3f} after.",
        f"Dice of {len(further['dice_before'])} further images of that scanner: {np.mean(further['dice_before']):.3f} before, "
        f"{np.mean(further['dice_after']):.3f} after (on scanners it knows: {np.mean(known):.3f}).",
        f"It took {sum(seconds.values()):.0f} s.",
        f"Report: {summary['report']}",
    ]
