"""Over names, tables and folder layouts: no mask and no row ever lands on another image."""

from __future__ import annotations

import copy
import csv
import io
import sys
import tempfile
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from casewise.archive.ingest.layouts import bids
from casewise.archive.ingest.layouts.entry import Entry
from casewise.archive.ingest.layouts.matching import Match, pair
from casewise.archive.ingest.layouts.tree import File, Folder
from casewise.archive.ingest.planning import Plan, plan
from casewise.names import same_structure

# Parts that make names near one another: prefixes, numbers, other scripts, separators, roles and sequences.
PARTS = [
    "a",
    "A",
    "1",
    "01",
    "10",
    "scan",
    "image",
    "anna",
    "maria",
    "患者",
    "甲",
    "乙",
    "ä",
    "ä",
    "й",
    "+",
    "−",
    "b",
    "T1",
    "FLAIR",
    "left",
    "x",
    "p1",
    "(2)",
]
FOLDERS = ["train/p1", "train/p2", "valid/p1", "a", "b/a", "p1", "患者/甲"]
JOINTS = ["", "_", "-", " ", "."]
ROLES = ["{}_mask", "{}-seg", "mask_{}", "{} label", "{}_gt", "{}_ROI"]
names = st.lists(st.tuples(st.sampled_from(PARTS), st.sampled_from(JOINTS)), min_size=1, max_size=4).map(
    lambda parts: "".join(part + joint for part, joint in parts).rstrip("_-. ") or "n"
)
sets = st.lists(names, min_size=1, max_size=5, unique_by=lambda name: unicodedata.normalize("NFC", name).casefold())


def unlike(everybody: list[str]) -> bool:
    """Whether no two names go on from two others alike: where ``1`` and ``2`` are images, ``1_anna`` and ``2_anna`` are read as a
    structure of theirs, as the documentation says.
    """
    longer = [(name, name[len(first) :]) for first in everybody for name in everybody if name.startswith(first) and name != first]
    names_with: dict[str, set[str]] = {}
    for name, rest in longer:
        names_with.setdefault(same_structure(rest.strip("_-. ")), set()).add(name)
    return all(len(names) == 1 for names in names_with.values())


def tree(paths: list[str]) -> Folder:
    """A folder of files that need not be there."""
    top = Folder(Path("/study"))
    for path in paths:
        here = top
        *folders, name = path.split("/")
        for part in folders:
            here = here.folders.setdefault(part, Folder(here.path / part))
        here.files[name] = File(1, 1)
    return top


def attached(whole: Plan) -> dict[str, set[str]]:
    """Mask → the images that it is attached to, as paths below the folder."""
    found: dict[str, set[str]] = {}
    for image, entry in whole.entries.items():
        for label in entry.labels:
            found.setdefault(str(label.path.relative_to("/study")), set()).add(str(image.relative_to("/study")))
    return found


@settings(max_examples=400, deadline=None)
@given(everybody=sets, role=st.sampled_from(ROLES), missing=st.data())
def test_a_mask_lands_on_the_image_of_its_name_or_on_none(everybody: list[str], role: str, missing: st.DataObject) -> None:
    assume(unlike(everybody))
    there = [name for name in everybody if missing.draw(st.booleans())]
    masks = {f"{role.format(name)}.png": name for name in everybody}
    found = attached(plan([tree([*(f"{name}.png" for name in there), *masks])]))
    for mask, images in found.items():
        # A name of which part is another's name and a structure ("p1" + "left") is drawn too: that is refused, not attached.
        assert images == {f"{masks[mask]}.png"}, (mask, images)


@settings(max_examples=200, deadline=None)
@given(everybody=sets, missing=st.data())
def test_a_plain_mask_of_an_image_that_is_there_is_attached(everybody: list[str], missing: st.DataObject) -> None:
    there = [name for name in everybody if missing.draw(st.booleans())]
    for name, match in pair([f"{name}.png" for name in there], [f"{name}.png" for name in there], in_mask_folder=True).items():
        if isinstance(match, Match):
            assert match.images == (name,)
        else:
            assert "fits several" in match


@settings(max_examples=200, deadline=None)
@given(
    names=sets,
    patients=st.lists(st.sampled_from(["p1", "p2", "p10", "anna", "maria", "患者甲"]), min_size=1, max_size=3, unique=True),
    images=st.sampled_from(["images", "imgs", "scans", "train_images", "imagesTr", ""]),
    masks=st.sampled_from(["masks", "labels", "train_masks", "labelsTr", "lung_masks", "annotations"]),
    suffix=st.sampled_from(["", "_mask", "_seg"]),
    missing=st.data(),
)
def test_masks_in_folders_of_their_own_stay_with_their_folder(
    names: list[str], patients: list[str], images: str, masks: str, suffix: str, missing: st.DataObject
) -> None:
    assume(unlike(names))
    every = [f"{patient}/{name}" for patient in patients for name in names]
    there = [path for path in every if missing.draw(st.booleans())]
    prefix = f"{images}/" if images else ""
    found = attached(plan([tree([*(f"{prefix}{path}.png" for path in there), *(f"{masks}/{path}{suffix}.png" for path in every)])]))
    for mask, landed in found.items():
        right = mask.removeprefix(f"{masks}/").removesuffix(f"{suffix}.png")
        assert landed == {f"{prefix}{right}.png"}, (mask, landed)


def test_one_mask_that_fits_two_images_is_no_evidence_of_a_structure() -> None:
    # Drawn once by the test above: the image scan_scan is missing.
    assert attached(plan([tree(["scan.png", "scanT1.png", "scan_scan_mask.png"])])) == {}
    both = attached(plan([tree(["a.png", "b.png", "a_vertex_mask.png", "b_vertex_mask.png"])]))
    assert both == {"a_vertex_mask.png": {"a.png"}, "b_vertex_mask.png": {"b.png"}}


def test_a_mask_of_a_shorter_name_takes_no_image_of_a_longer_one() -> None:
    # Drawn once by the test above: the images of the other names are missing.
    for image, masks in (("T1_a", ["a", "T1", "T1_a"]), ("T1_a", ["T1"]), ("+T1", ["T1", "+T1"])):
        whole = plan([tree([f"images/p1/{image}.png", *(f"masks/p1/{name}_mask.png" for name in masks)])])
        assert attached(whole) == {f"masks/p1/{name}_mask.png": {f"images/p1/{name}.png"} for name in masks if name == image}
        refused = {path.name: reason for path, reason in whole.orphans.items()}
        assert refused.keys() == {f"{name}_mask.png" for name in masks if name != image} and all(refused.values())


@settings(max_examples=200, deadline=None)
@given(
    names=sets,
    folders=st.lists(st.sampled_from(FOLDERS), min_size=1, max_size=4, unique=True),
    written=st.sampled_from(["{}", ".\\{}", "C:\\study\\{}", "set/{}", "/mnt/x/{}"]),
    with_suffix=st.booleans(),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    missing=st.data(),
)
def test_a_row_lands_on_the_image_of_its_path_or_on_none(
    names: list[str], folders: list[str], written: str, with_suffix: bool, encoding: str, missing: st.DataObject
) -> None:
    every = [f"{folder}/{name}" for folder in folders for name in names]
    there = [path for path in every if missing.draw(st.booleans())]
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow(["path", "category"])
    for path in every:
        cell = written.format(path if "\\" not in written else path.replace("/", "\\"))
        table.writerow([cell + ".png" * with_suffix, f"of {path}!"])
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "t.csv").write_bytes(text.getvalue().encode(encoding))
        top = Folder(Path(folder))
        for path in ["t.csv", *(f"{path}.png" for path in there)]:
            here = top
            *parts, name = path.split("/")
            for part in parts:
                here = here.folders.setdefault(part, Folder(here.path / part))
            here.files[name] = File(1, 1)
        entries = plan([top]).entries
        landed = {str(image.relative_to(folder)): entry.category for image, entry in entries.items() if entry.category is not None}
    for image, category in landed.items():
        right = category.removeprefix("of ").removesuffix("!") + ".png"
        assert unicodedata.normalize("NFC", image) == unicodedata.normalize("NFC", right)
    if there and written in ("{}", ".\\{}"):
        assert len(landed) >= 1


# Paths of several layouts, those of BIDS among them, whose names agree in some parts.
PLACES = ["", "sub-1/anat/", "sub-1/ses-1/anat/", "sub-2/anat/", "derivatives/sub-1/", "derivatives/x/", "images/", "masks/"]
BEFORE = ["", "sub-1_", "sub-2_", "sub-1_ses-1_", "sub-1_ses-2_", "sub-1_run-1_", "sub-1_ses-1_run-2_"]
AFTER = ["T1w", "FLAIR", "a", "label-x_mask", "mask", "a_seg", "T1w_mask", "b_left_lung_mask"]
mixed = st.sets(
    st.tuples(st.sampled_from(PLACES), st.sampled_from(BEFORE), st.sampled_from(AFTER), st.sampled_from([".nii.gz", ".png"])),
    min_size=2,
    max_size=20,
).map(lambda parts: ["dataset_description.json", *sorted("".join(one) for one in parts)])


@settings(max_examples=300, deadline=None)
@given(paths=mixed, drawn=st.data())
def test_what_is_left_out_of_a_plan_is_left_out_of_every_entry_and_nothing_else(paths: list[str], drawn: st.DataObject) -> None:
    whole = plan([tree(paths)])
    for _ in range(3):
        gone = {Path("/study") / path for path in drawn.draw(st.lists(st.sampled_from(paths), max_size=4))}
        wanted = copy.deepcopy(whole)
        wanted.labels -= gone
        wanted.orphans = {path: why for path, why in wanted.orphans.items() if path not in gone}
        wanted.entries = {
            path: replace(entry, labels=tuple(label for label in entry.labels if label.path not in gone))
            for path, entry in wanted.entries.items()
            if path not in gone
        }
        whole.leave(gone)
        assert whole == wanted
        for path in map(Path("/study").joinpath, paths):
            held = [label for entry in whole.entries.values() for label in entry.labels if label.path == path]
            assert whole.as_label(path) == held


@settings(max_examples=300, deadline=None)
@given(paths=mixed)
def test_a_mask_of_bids_has_only_images_that_agree_with_every_part_of_its_name(paths: list[str]) -> None:
    apart = bids._ABOUT_THE_MASK
    given = [one for one in bids.entries(tree(paths)) if isinstance(one, Entry)]
    pairs = [(label.path, one.path) for one in given for label in one.labels]
    names = [Path("/study") / path for path in paths[1:]]
    for mask in names:
        said, ending = bids._read_name(mask.name)
        if ending not in bids._MASKS:
            continue
        wanted = {key: value for key, value in said.items() if key not in apart}
        fitting = set()
        for image in names:
            own, of_image = bids._read_name(image.name)
            agrees = own.get("ses") == said.get("ses") and all(own.get(key) == value for key, value in wanted.items())
            if of_image not in bids._MASKS and "sub" in own and "derivatives" not in image.parts and agrees:
                fitting.add(image)
        taken = {image for path, image in pairs if path == mask}
        assert taken <= fitting
        if len(fitting) == 1 and bids._agrees(mask, said, Path("/study")) and "T1w_mask" not in mask.name:
            assert taken == fitting


def steps(work: Callable[[], Any]) -> int:
    """How many functions are called, which is the same on every machine."""
    count = 0

    def note(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def left(whole: Plan, folder: Folder) -> None:
    """What an import asks of a plan: nothing is left out at most folders, and at the end each label is asked for."""
    for _ in folder.walk():
        whole.leave(frozenset())
    for path in sorted(whole.labels):
        whole.as_label(path)
        whole.leave([path])


SEQUENCES = ("t1", "t2", "flair", "seg")
LARGE: dict[str, Callable[[int], list[str]]] = {
    "folders of subjects": lambda n: [f"B_{k:04}/B_{k:04}_{one}.nii.gz" for k in range(n) for one in SEQUENCES],
    "BIDS": lambda n: [
        "dataset_description.json",
        *(f"sub-{k:04}/anat/sub-{k:04}_T1w.nii.gz" for k in range(n)),
        *(f"derivatives/sub-{k:04}/sub-{k:04}_label-lesion_mask.nii.gz" for k in range(n)),
    ],
    "nnU-Net": lambda n: [f"imagesTr/c_{k:04}_0000.nii.gz" for k in range(n)] + [f"labelsTr/c_{k:04}.nii.gz" for k in range(n)],
    "folders side by side": lambda n: [f"{one}/i{k:04}.png" for k in range(n) for one in ("images", "masks", "lung_masks")],
    "masks without images": lambda n: [f"images/i{k:04}.png" for k in range(n)] + [f"masks/z{k:04}.png" for k in range(n)],
}


@pytest.mark.parametrize("make", LARGE.values(), ids=LARGE.keys())
def test_an_image_costs_no_more_steps_in_a_larger_data_set(make: Callable[[int], list[str]]) -> None:
    few, many = tree(make(60)), tree(make(240))
    plan([few])  # what is kept of words is there from now on
    plan([many])
    asked = [plan([few]), plan([many])]
    assert steps(lambda: plan([tree(make(240))])) < 5 * steps(lambda: plan([tree(make(60))]))
    assert steps(lambda: left(asked[1], many)) < 5 * steps(lambda: left(asked[0], few))
