"""PixelPaddingValue: pixels around an image are its background, however the value is written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataelem import DataElement
from pydicom.uid import CTImageStorage

from casewise import formats
from casewise.formats.dicom.padding import as_background
from tests.formats.synthetic import Plan, instance, placed

RAMP = np.arange(100, 180, dtype=np.int64).reshape(8, 10)


def padded(value: int, kind: type = np.uint16) -> np.ndarray:
    array = RAMP.astype(kind)
    array[:, :3] = value
    return array


@pytest.mark.parametrize(
    ("array", "tags"),
    [
        (padded(65535), {"PixelPaddingValue": 65535}),
        (padded(0), {"PixelPaddingValue": 0}),
        (padded(-2000, np.int16), {"PixelPaddingValue": -2000}),
        (padded(32767, np.int16), {"PixelPaddingValue": 32767}),
        (padded(65535), {"PixelPaddingValue": 60000, "PixelPaddingRangeLimit": 65535}),
        (padded(3), {"PixelPaddingValue": 5, "PixelPaddingRangeLimit": 0}),
        (padded(65535), {"PixelPaddingValue": 65535, "BitsStored": 12, "HighBit": 11}),
    ],
)
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_the_darkest_value_of_the_image(array: np.ndarray, tags: dict, photometric: str, tmp_path: Path) -> None:
    signed = int(array.dtype.kind == "i")
    path = instance(tmp_path / "a.dcm", array, PhotometricInterpretation=photometric, PixelRepresentation=signed, **tags)
    read = formats.read(path).array[0].astype(int)
    assert (read[:, :3] == read[:, 3:].min()).all() and read.max() == read[:, 3:].max()
    rising = np.diff(read[0, 3:])
    assert (rising == (1 if photometric == "MONOCHROME2" else -1)).all(), "the image itself is as it was"


@pytest.mark.parametrize(
    ("array", "vr", "value"),
    [
        (padded(-2000, np.int16), "US", 63536),
        (padded(65535), "SS", -1),
        (padded(65535), "OB", b"\xff\xff"),
        (padded(65535), "DS", "65535"),
    ],
)
def test_a_value_in_another_representation_counts_as_what_it_means(
    array: np.ndarray, vr: str, value: object, tmp_path: Path
) -> None:
    path = instance(tmp_path / "a.dcm", array, PixelRepresentation=int(array.dtype.kind == "i"))
    from pydicom import dcmread

    dataset = dcmread(path)
    dataset[0x00280120] = DataElement(0x00280120, vr, value)
    dataset.save_as(path)
    read = formats.read(path).array[0].astype(int)
    assert (read[:, :3] == read[:, 3:].min()).all()


def test_slices_of_a_series_share_one_background_in_their_own_unit(tmp_path: Path) -> None:
    for index in range(3):
        tags = placed(Plan(), index) | {"RescaleSlope": 2, "RescaleIntercept": -1024, "PixelPaddingValue": 65535}
        instance(
            tmp_path / f"{index}.dcm",
            padded(65535) + np.uint16(5 * index) * (RAMP < 0),
            CTImageStorage,
            SeriesInstanceUID="1.2.3",
            **tags,
        )
    volume = formats.read(tmp_path).array[0]
    assert (volume[:, :3] == volume[:, 3:].min()).all() and volume.max() == 2 * RAMP.max() - 1024


@given(seed=st.integers(0, 10_000), count=st.integers(1, 4))
@settings(max_examples=30, deadline=None)
def test_padding_never_changes_the_image_nor_exceeds_it(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    arrays = [rng.integers(-50, 50, (1, 5, 6)).astype(np.int16) for _ in range(count)]
    masks = [rng.random((1, 5, 6)) < rng.choice([0, 0.5, 1.0]) for _ in range(count)]
    done = as_background(arrays, masks)
    kept = np.concatenate([array[~mask] for array, mask in zip(arrays, masks, strict=True)])
    for array, mask, new in zip(arrays, masks, done, strict=True):
        assert np.array_equal(new[~mask], array[~mask]) and new.dtype == array.dtype
        assert (new[mask] == kept.min()).all() if kept.size else np.array_equal(new, array)
