"""The segments that a report opens: the pixels that were looked at, marks at their places, and no more than there is room for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from casewise import formats
from casewise.finding import Finding, SegmentPicture
from casewise.image import Box, Image
from casewise.reporting.finding_files import looked_in_segments, segments_of
from casewise.reporting.pictures import display_range, to_pixels
from casewise.reporting.segment_views import segment_views
from casewise.segment_files import write_segment
from casewise.segments import segments
from tests.reporting.pages import Page, decoded
from tests.reporting.segmented import NODULES, segmented


def cut_holds(box: Box, inner: Box) -> bool:
    return bool((np.array(box.lower) <= inner.lower).all() and (np.array(inner.upper) <= box.upper).all())


@pytest.mark.parametrize("scale", [1.0, 0.8])
def test_a_mark_opens_the_pixels_that_were_looked_at(scale: float, tmp_path: Path) -> None:
    film = segmented(tmp_path, scale)
    found = segment_views(film.image, film.findings, segments_of(film.findings, film.image))
    assert len(found.views) == 2 and not found.more
    for number, segment in enumerate(film.cut):
        view = found.opened_by[number]
        assert (view.height, view.width) == segment.shape
        assert view.title == f"Segment {number + 1}, left lung"
        assert f"{view.width} × {view.height} pixels, {scale:.2f} of the image's resolution" in view.about
        expected = to_pixels(np.rint(film.cut.pixels(film.image.array, segment)[0]), *display_range(film.image))
        assert np.array_equal(decoded(view.uri), expected)
        (frame,) = view.frames
        assert frame.finding == number and frame.caption == f"nodule {90 - 50 * number} %"
        sides = (frame.top, frame.left, frame.top + frame.height, frame.left + frame.width)
        box, lower = NODULES[number], segment.box.lower * 2
        assert np.allclose(sides, (np.array(box.lower + box.upper) - lower) * scale, atol=1)
        assert view.spacing == pytest.approx([0.2 * n / m for n, m in zip(segment.box.shape, segment.shape, strict=True)])


def test_the_heat_map_lies_over_the_segment_and_stays_where_that_shows_something(tmp_path: Path) -> None:
    film = segmented(tmp_path)
    (view, _) = segment_views(film.image, film.findings, segments_of(film.findings, film.image)).views
    alpha = decoded(view.heat)  # the palette's number: the more opaque, the higher
    segment = film.cut[0]
    inside = film.cut.inside(segment)
    assert alpha.shape == inside.shape
    top, left = (n - m for n, m in zip(NODULES[0].lower, segment.box.lower, strict=True))
    assert (alpha[top : top + 20, left : left + 22] == alpha.max()).mean() > 0.99  # of the image's grey, where the mean is that
    assert alpha.max() == 31 and alpha[~inside].mean() < 0.01


def test_findings_of_one_segment_share_its_picture_and_others_have_none(tmp_path: Path) -> None:
    film = segmented(tmp_path)
    twin = replace(film.findings[0], label="mass", box=Box((100, 100), (110, 130)))
    findings = (*film.findings, twin, Finding("other", "nodule", 0.3, box=NODULES[0]))
    found = segment_views(film.image, findings, segments_of(findings, film.image))
    assert len(found.views) == 2 and set(found.opened_by) == {0, 1, 3} and found.opened_by[0] == found.opened_by[3]
    assert [frame.caption for frame in found.opened_by[0].frames] == ["nodule 90 %", "mass 90 %"]
    assert looked_in_segments(findings) == {"irregularities"}


def test_what_has_no_room_is_counted(tmp_path: Path) -> None:
    film = segmented(tmp_path)
    (first, *_) = segments_of(film.findings, film.image)
    many = [replace(first, findings=(0,)) for _ in range(15)]
    found = segment_views(film.image, film.findings, many)
    assert len(found.views) == 12 and found.more == 3


def test_a_file_that_is_gone_or_of_another_shape_opens_nothing(tmp_path: Path) -> None:
    film = segmented(tmp_path)
    gone, other = (finding.segment for finding in film.findings[:2])
    assert gone is not None and other is not None
    gone.picture.unlink()
    formats.write(other.picture, Image(np.zeros((1, 9, 9), np.uint16)))
    assert segments_of(film.findings, film.image) == []
    page = Page.of(film.written(tmp_path / "report"))
    assert not page.find("rect", class_="mark") and not page.find("button", class_="opens")


def test_a_block_of_a_volume_is_opened_at_the_slice_of_its_finding(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    image = Image(random.normal(0, 100, (1, 60, 50, 40)).astype(np.float32), np.diag([1.0, 1.0, 1.5, 1.0]))
    liver = np.zeros(image.spatial_shape, bool)
    liver[10:50, 8:42, 5:35] = True
    cut = segments({"liver": liver}, image.spatial_shape, longest=30)
    finding = Box((22, 20, 14), (30, 28, 22))
    number, segment = next((n, one) for n, one in enumerate(cut) if cut_holds(one.box, finding))
    path = write_segment(tmp_path, "block", cut.pixels(image.array, segment), segment.box, image)
    picture = SegmentPicture("liver", segment.box, 1.0, path)
    findings = [Finding("lesions", "lesion", 0.7, "liver", finding, measures={"segment": number + 1.0}, segment=picture)]
    (view,) = segment_views(image, findings, segments_of(findings, image)).views
    assert "axial slice 17" in view.about
    (frame,) = view.frames
    pixels = to_pixels(cut.pixels(image.array, segment)[0], *display_range(image))
    shown = decoded(view.uri)
    lesion = shown[frame.top : frame.top + frame.height, frame.left : frame.left + frame.width]
    within = tuple(slice(lo - at, hi - at) for lo, hi, at in zip(finding.lower, finding.upper, segment.box.lower, strict=True))
    own = pixels[(*within[:2], 17 - segment.box.lower[2])]
    assert sorted(lesion.ravel()) == sorted(own.ravel())
    assert np.array_equal(formats.read(path).affine, image.crop(segment.box).affine)


def test_the_page_has_a_button_on_each_mark_with_a_name(tmp_path: Path) -> None:
    page = Page.of(segmented(tmp_path).written(tmp_path / "report"))
    marks = page.find("rect", class_="mark")
    assert [mark["aria-label"] for mark in marks] == [
        "nodule 90 %: open segment 1, left lung, at 1:1",
        "nodule 40 %: open segment 2, left lung, at 1:1",
    ]
    assert all(mark["tabindex"] == "0" and mark["role"] == "button" for mark in marks)
    assert [button["aria-label"] for button in page.find("button", class_="opens")] == [
        "Open segment 1, left lung, at 1:1",
        "Open segment 2, left lung, at 1:1",
    ]
    assert "dark: not looked at" in page.text
