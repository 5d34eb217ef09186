"""The simulated sites: aligned, repeatable, different from each other, and made of images that are already here."""

from __future__ import annotations

import socket
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from casewise.demo.sites import KNOWN_SITES, UNSEEN_SITE, Site, simulate
from casewise.demo.sources import Template, others, template
from casewise.hashing import image_key
from casewise.image import Image

SITES = (*KNOWN_SITES, UNSEEN_SITE)


@pytest.fixture(scope="module")
def head() -> Template:
    return template()


@pytest.mark.parametrize("site", SITES, ids=lambda site: site.name)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_masks_stay_with_the_image_under_deformation(head: Template, site: Site, seed: int) -> None:
    """An image that shows white matter alone must be bright exactly where the white matter's mask says, however much it is bent."""
    white = head.tissues["white_matter"]
    only_white = Image(white[None], head.image.affine)
    tissues = {"grey_matter": np.zeros_like(white), "white_matter": white}
    strongly_bent = replace(site, tissue=(0, 0, 1), texture=0, gamma=1, bias=0, noise=0, blur=0.01, scale=1000, deformation=6)
    seen = simulate(only_white, tissues, strongly_bent, seed)
    bright = seen.image.array[0] >= 500
    mask = seen.masks["white_matter"]
    assert mask.sum() > 1000
    dice = 2 * (bright & mask).sum() / (bright.sum() + mask.sum())
    assert dice > 0.97
    moved = np.roll(mask, 2, axis=0)
    assert 2 * (bright & moved).sum() / (bright.sum() + moved.sum()) < dice - 0.05  # two pixels off would be seen


def test_the_affine_says_where_the_pixels_were_in_the_head() -> None:
    """A straight, unbent slice of a gradient image reads back its own millimetres (up to the patient's small turn and shift)."""
    grid = np.stack(np.meshgrid(*(np.linspace(0, 1, n) for n in (197, 233, 189)), indexing="ij"))
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    affine[:3, 3] = (-98, -134, -72)
    ones = np.ones(grid.shape[1:], np.float32)
    tissues = {"grey_matter": np.zeros_like(ones), "white_matter": ones}
    for axis, extent, first in ((0, 196, -98), (1, 232, -134)):
        image = Image((0.5 + 0.5 * grid[axis])[None].astype(np.float32), affine)
        site = Site("flat", (0, 0, 0.84), deformation=0, size=(1, 1), bias=0, noise=0, blur=0.01, spacing=2, scale=10000)
        seen = simulate(image, tissues, site, seed=0, level_mm=10)
        found = (seen.image.array[0] / 10000 - 0.5) * 2 * extent + first
        rows, columns = np.indices(found.shape)
        there = seen.image.affine @ np.stack([rows, columns, np.zeros_like(rows), np.ones_like(rows)]).reshape(4, -1)
        inner = (slice(20, -20), slice(20, -20))
        error = (found - there[axis].reshape(found.shape))[inner]
        assert abs(error).max() < 20  # turned by some degrees and shifted by some mm, never mirrored or swapped
        assert np.corrcoef(found[inner].ravel(), there[axis].reshape(found.shape)[inner].ravel())[0, 1] > 0.97


def test_the_same_seed_gives_the_same_pixels_and_another_seed_another_patient(head: Template) -> None:
    for site in SITES:
        first, again, other = (simulate(head.image, head.tissues, site, seed) for seed in (7, 7, 8))
        assert image_key(first.image) == image_key(again.image)
        assert all(np.array_equal(first.masks[name], again.masks[name]) for name in first.masks)
        assert image_key(first.image) != image_key(other.image)
        assert not np.array_equal(first.masks["white_matter"], other.masks["white_matter"])


def test_a_patient_of_one_site_is_not_a_patient_of_another(head: Template) -> None:
    plain = {"tissue": (0.2, 0.6, 0.9), "spacing": 1.5}
    one, two = (simulate(head.image, head.tissues, Site(name, **plain), seed=3) for name in ("one", "two"))
    assert not np.array_equal(one.masks["white_matter"], two.masks["white_matter"])


def test_masks_are_disjoint_inside_the_brain_and_on_the_grid(head: Template) -> None:
    for site in SITES:
        for seed in range(4):
            seen = simulate(head.image, head.tissues, site, seed)
            grey, white = seen.masks["grey_matter"], seen.masks["white_matter"]
            assert grey.shape == white.shape == seen.image.spatial_shape
            assert grey.dtype == white.dtype == np.bool_
            assert not (grey & white).any()
            assert min(grey.mean(), white.mean()) > 0.05
            border = np.ones_like(grey)
            border[2:-2, 2:-2] = False
            assert not ((grey | white) & border).any(), "the brain is cut off"
            assert seen.image.spacing == pytest.approx((site.spacing, site.spacing))


def test_sites_differ_in_their_histograms(head: Template) -> None:
    """Two patients of one site look more alike, by their histograms within the brain, than patients of any two sites."""

    def histogram(site: Site, seed: int) -> np.ndarray:
        seen = simulate(head.image, head.tissues, site, seed, level_mm=20)
        brain = ndimage.binary_fill_holes(seen.masks["grey_matter"] | seen.masks["white_matter"])
        values = seen.image.array[0].astype(float)
        values = values[brain] / np.percentile(values, 99.5)
        return np.cumsum(np.histogram(values, bins=40, range=(0, 1.2))[0]) / values.size

    means = {site.name: np.mean([histogram(site, seed) for seed in range(4)], axis=0) for site in SITES}
    within = [abs(histogram(site, 9) - means[site.name]).mean() for site in SITES]
    between = [abs(means[a] - means[b]).mean() for a in means for b in means if a < b]
    assert min(between) > max(within)


def test_the_unseen_site_turns_the_contrast_round(head: Template) -> None:
    def brighter(site: Site) -> bool:
        seen = simulate(head.image, head.tissues, site, seed=1)
        values = seen.image.array[0]
        return bool(values[seen.masks["white_matter"]].mean() > values[seen.masks["grey_matter"]].mean())

    assert all(brighter(site) for site in KNOWN_SITES)
    assert not brighter(UNSEEN_SITE)


def test_nothing_is_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the demonstration went to the network")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    template.cache_clear()
    loaded = template()
    assert loaded.image.spatial_shape == (197, 233, 189)
    assert all(tissue.shape == loaded.image.spatial_shape for tissue in loaded.tissues.values())
    assert len(others()) == 5


def test_tissue_signals_are_the_templates_own(head: Template) -> None:
    """The means by which the contrast is changed are those of the real image."""
    from casewise.demo import sites

    t1, grey, white = head.image.array[0], head.tissues["grey_matter"], head.tissues["white_matter"]
    fluid = (t1 > 0.25) & (grey + white < 0.5)
    for mean, mask in zip(sites._TEMPLATE_SIGNAL, (fluid, grey > 0.5, white > 0.5), strict=True):
        assert t1[mask].mean() == pytest.approx(mean, abs=0.03)
