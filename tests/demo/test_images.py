"""The demonstration's files: real ones, in order, and the same for the same seed."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from casewise import formats
from casewise.demo import images
from casewise.demo.images import STRUCTURES, DemoImages, write_images
from casewise.demo.sites import UNSEEN_SITE
from casewise.hashing import file_key, image_key


@pytest.fixture(scope="module", autouse=True)
def fewer() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(images, "_PATIENTS", 3)
        patch.setattr(images, "_FURTHER", 1)
        patch.setattr(images, "_CHECKED", 1)
        yield


@pytest.fixture(scope="module")
def written(fewer: None, tmp_path_factory: pytest.TempPathFactory) -> DemoImages:
    return write_images(tmp_path_factory.mktemp("images"), seed=3)


def rows(table: Path) -> list[dict[str, str]]:
    with table.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_tables_name_files_that_read_back_with_their_masks(written: DemoImages) -> None:
    known, grown = rows(written.known), rows(written.grown)
    assert {row["site"] for row in grown} == {UNSEEN_SITE.name}
    assert UNSEEN_SITE.name not in {row["site"] for row in known}
    assert len({row["site"] for row in known}) == 3
    for row in [*known[::2], *grown]:
        image = formats.read(written.known.parent / row["image"])
        assert image.spatial_dims == 2
        for structure in STRUCTURES:
            mask = formats.read_mask(written.known.parent / row[f"mask:{structure}"], image)
            assert mask.shape == image.spatial_shape
            assert 0.05 < mask.mean() < 0.6


def test_no_patient_is_on_both_sides(written: DemoImages) -> None:
    archived = [written.known.parent / row["image"] for row in rows(written.known) + rows(written.grown)]
    kept_apart = [labelled.image for labelled in (written.new, *written.further, *written.checked)]
    assert not set(archived) & set(kept_apart)
    keys = [image_key(formats.read(path)) for path in (*archived, *kept_apart)]
    assert len(set(keys)) == len(archived) + len(kept_apart)


def test_the_image_on_disk_is_the_image_simulated(written: DemoImages) -> None:
    from casewise.demo.sites import simulate
    from casewise.demo.sources import template

    head = template()
    seen = simulate(head.image, head.tissues, UNSEEN_SITE, 3500)
    image = formats.read(written.new.image)
    assert np.array_equal(image.array, seen.image.array)
    assert np.allclose(image.affine[:, [0, 1, 3]], seen.image.affine[:, [0, 1, 3]], atol=1e-3)  # a picture's third axis is free
    names = ("modality", "sequence", "body_part", "scanner")
    assert [getattr(image.header, name) for name in names] == [getattr(seen.image.header, name) for name in names]
    assert np.array_equal(formats.read_mask(written.new.masks["white_matter"], image), seen.masks["white_matter"])


def test_the_real_files_are_unchanged_and_their_sources_beside_them(written: DemoImages) -> None:
    from casewise.demo.sources import others

    assert {file_key(path) for path in others()} == {file_key(path) for path in written.others.iterdir()}
    text = (written.known.parent / "SOURCES.md").read_text(encoding="utf-8")
    assert "Permission to use, copy, modify, and distribute" in text
    for path in others():
        assert path.name in text


def test_the_same_seed_writes_the_same_bytes(written: DemoImages, tmp_path: Path) -> None:
    again = write_images(tmp_path, seed=3)
    assert file_key(again.new.image) == file_key(written.new.image)
    assert again.known.read_text() == written.known.read_text()


def test_another_seed_writes_other_patients(written: DemoImages, tmp_path: Path) -> None:
    other = write_images(tmp_path, seed=4)
    assert image_key(formats.read(other.new.image)) != image_key(formats.read(written.new.image))
