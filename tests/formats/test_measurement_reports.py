"""Structured reports of other makers: what their groups say, and where on the image they lie."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from casewise.errors import UnreadableImageError
from casewise.formats import read
from casewise.formats.dicom.measurement_report import Place, read_measurement_report
from casewise.formats.dicom.report_content import ImageReference, content_of
from casewise.formats.dicom.report_places import ReportPlaces, polygon
from casewise.image import Box
from tests.dicom_studies import ct, film, oblique_mr
from tests.formats.report_making import (
    CERTAINTY,
    NODULE,
    PERCENT,
    PRESENT,
    Code,
    cad_report,
    group,
    measured,
    region,
    region_in_space,
    report,
)

MM2 = Code("mm2", "UCUM", "square millimeter")


def test_a_group_says_what_where_and_how_large(tmp_path: Path) -> None:
    series = film(tmp_path / "film", rows=60, columns=50)
    drawn = region(series.files[0], "POLYLINE", [(10, 20), (10, 30), (25, 30), (25, 20), (10, 20)])
    made = group(
        drawn,
        measurements=[measured(Code("42798000", "SCT", "Area"), 12.5, MM2), measured(CERTAINTY, 87, PERCENT)],
        finding_sites=None,
    )
    found = read_measurement_report(report(tmp_path / "sr.dcm", series.files, [made]))
    (one,) = found.groups
    assert one.finding is not None
    assert (one.finding.meaning, one.tracking) == ("Nodule", "Lesion 1")
    assert [(m.name.meaning, m.value, m.unit.value if m.unit else None) for m in one.measurements] == [
        ("Area", 12.5, "mm2"),
        ("Certainty of Finding", 87.0, "%"),
    ]
    assert found.complete
    image = read(series.folder)
    places = ReportPlaces(image).drawn(one.places)
    assert places.mask is None  # a rectangle is a box
    assert places.box == Box((20, 10), (30, 25))
    assert dcmread(series.files[0]).SOPInstanceUID in found.instances


def test_a_mask_drawn_as_a_line_in_space_comes_back_on_its_voxels(tmp_path: Path) -> None:
    """Each plane's outline, through the voxels' corners, in a series that is oblique and of anisotropic voxels."""
    from skimage.measure import find_contours

    series = oblique_mr(tmp_path / "mr", 8)
    image = read(series.folder)
    places = []
    for number in np.flatnonzero(series.mask.any((0, 1))):
        (line,) = find_contours(np.pad(series.mask[..., number], 1).astype(float), 0.5)
        voxels = np.column_stack([line - 1, np.full(len(line), number), np.ones(len(line))])
        points = (voxels @ image.affine.T)[:, :3] * [-1, -1, 1]
        places.append(region_in_space(series.files[0], "POLYLINE", points))
    groups = [group(place, tracking=f"part {number}") for number, place in enumerate(places)]
    found = read_measurement_report(report(tmp_path / "sr.dcm", series.files, groups))
    drawn = ReportPlaces(image).drawn([place for one in found.groups for place in one.places])
    assert drawn.mask is not None
    np.testing.assert_array_equal(drawn.mask, series.mask)
    assert drawn.box == Box.around(series.mask)


@pytest.mark.parametrize(
    ("shape", "points", "box", "count"),
    [
        ("POINT", [(3.5, 7.5)], Box((7, 3), (8, 4)), 0),
        ("POLYLINE", [(3.5, 7.5), (10.5, 9.5)], Box((7, 3), (10, 11)), 0),
        ("CIRCLE", [(20.5, 30.5), (25.5, 30.5)], Box((25, 15), (36, 26)), 81),
        ("ELLIPSE", [(10.5, 30.5), (30.5, 30.5), (20.5, 25.5), (20.5, 35.5)], Box((25, 10), (36, 31)), 159),
        ("MULTIPOINT", [(3.5, 7.5), (-100.0, 9.5), (1e12, 9.5)], Box((7, 0), (10, 50)), 0),
        ("POINT", [(-3.0, 7.5)], None, 0),
    ],
)
def test_shapes_on_a_film(tmp_path: Path, shape: str, points: list[tuple[float, float]], box: Box | None, count: int) -> None:
    series = film(tmp_path, rows=60, columns=50)
    image = read(series.folder)
    place = Place(shape, np.asarray(points), ImageReference(str(dcmread(series.files[0]).SOPInstanceUID)))
    drawn = ReportPlaces(image).drawn([place])
    assert drawn.box == box
    assert (0 if drawn.mask is None else int(drawn.mask.sum())) == count


def test_places_of_other_images_and_frames_of_reference_are_none(tmp_path: Path) -> None:
    series = ct(tmp_path / "ct")
    places = ReportPlaces(read(series.folder))
    point = np.asarray([(3.5, 7.5)])
    assert places.drawn([Place("POINT", point, ImageReference("1.2.3"))]).box is None
    assert places.drawn([Place("POINT", np.asarray([(0.0, 0, 0)]), None, "1.2.3")]).box is None
    third = ImageReference(str(dcmread(series.files[2]).SOPInstanceUID))
    assert places.drawn([Place("POINT", point, third)]).box == Box((7, 3, 2), (8, 4, 3))


def test_an_ellipsoid_in_space(tmp_path: Path) -> None:
    series = ct(tmp_path / "ct")
    image = read(series.folder)
    centre = np.array([0.0, 0, 0])
    ends = [centre + sign * np.array(step) for step in ([12.0, 0, 0], [0, 9.0, 0], [0, 0, 10.0]) for sign in (-1, 1)]
    drawn = ReportPlaces(image).drawn([Place("ELLIPSOID", np.array(ends), None, str(dcmread(series.files[0]).FrameOfReferenceUID))])
    assert drawn.mask is not None
    index = np.indices(image.spatial_shape).reshape(3, -1)
    space = (image.affine @ np.vstack([index, np.ones(index.shape[1])]))[:3] * [[-1], [-1], [1]]
    inside = ((space / [[12], [9], [10]]) ** 2).sum(0) <= 1 + 1e-9
    np.testing.assert_array_equal(drawn.mask.ravel(), inside)


def test_a_chest_cad_report_names_its_image_through_its_library(tmp_path: Path) -> None:
    series = film(tmp_path / "film", rows=60, columns=50)
    outline = [10.0, 20, 14, 34, 25, 30, 10, 20]
    path = cad_report(tmp_path / "cad.dcm", series.files[0], [(NODULE, 71.0, outline)])
    found = read_measurement_report(path)
    (one,) = found.groups
    assert one.finding is not None
    assert one.finding.meaning == "Nodule"
    assert [m.value for m in one.measurements] == [71.0]
    assert found.algorithms == ("OldCad",)
    drawn = ReportPlaces(read(series.folder)).drawn(one.places)
    assert drawn.mask is not None
    assert drawn.box is not None
    assert drawn.mask[25, 15]


def test_statements_without_a_place(tmp_path: Path) -> None:
    series = film(tmp_path / "film", rows=60, columns=50)
    drawn = region(series.files[0], "POINT", [(10, 20)])
    path = report(
        tmp_path / "sr.dcm", series.files, [group(drawn)], evaluations=[(Code("36118008", "SCT", "Pneumothorax"), PRESENT)]
    )
    (one,) = read_measurement_report(path).statements
    assert one.finding is not None
    assert one.finding.meaning == "Pneumothorax"
    assert one.evaluations[0].value.meaning == "Present"


def test_what_is_no_report_is_one_sentence(tmp_path: Path) -> None:
    series = film(tmp_path / "film", rows=60, columns=50)
    with pytest.raises(UnreadableImageError, match="no DICOM structured report"):
        read_measurement_report(series.files[0])
    (tmp_path / "x.dcm").write_bytes(b"no dicom at all")
    with pytest.raises(UnreadableImageError):
        read_measurement_report(tmp_path / "x.dcm")


def test_references_in_a_ring_and_trees_without_end_come_to_an_end() -> None:
    root = Dataset()
    root.ValueType = "CONTAINER"
    ring = Dataset()
    ring.RelationshipType, ring.ReferencedContentItemIdentifier = "CONTAINS", [1]
    root.ContentSequence = [ring, ring]
    assert len(list(content_of(root).within())) == 3
    for _ in range(100):
        outer = Dataset()
        outer.ContentSequence = [root]
        root = outer
    with pytest.raises(ValueError, match="nested too deeply"):
        content_of(root)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(-5, 25), st.floats(-5, 25)), min_size=3, max_size=9))
def test_a_polygon_holds_the_pixels_whose_centres_it_goes_around(points: list[tuple[float, float]]) -> None:
    shape = (20, 18)
    corners = np.asarray(points)
    expected = np.zeros(shape, bool)
    for row, column in np.ndindex(shape):
        inside = False
        for (r0, c0), (r1, c1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
            # The same half-open rule as for any scan line: an end at the row itself counts once.
            if (r0 <= row < r1) or (r1 <= row < r0):
                inside ^= c0 + (row - r0) * ((c1 - c0) / (r1 - r0)) <= column
        expected[row, column] = inside
    found = polygon(corners, shape)
    assert np.count_nonzero(found ^ expected) <= 1  # a centre on the line itself may fall to either side


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_odd_items_are_read_or_refused_in_a_sentence(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("odd")
    series = film(folder / "film", rows=20, columns=20)
    path = cad_report(folder / "cad.dcm", series.files[0], [(NODULE, 50.0, [1.0, 2, 3, 4, 5, 6])])
    dataset = dcmread(path)
    items = [item for item in _below(dataset)]
    for _ in range(data.draw(st.integers(1, 6))):
        item = data.draw(st.sampled_from(items))
        if not len(item):
            continue
        element = data.draw(st.sampled_from(list(item)))
        if data.draw(st.booleans()):
            del item[element.tag]
        elif element.VR != "SQ":
            element._value = data.draw(st.sampled_from(["", "x", None, "9" * 40, ["a", "b"], 3]))
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.88.65"
    try:
        dataset.save_as(path)
    except Exception:
        return
    try:
        found = read_measurement_report(path)
    except UnreadableImageError as error:
        assert "\n" not in str(error)
        return
    ReportPlaces(read(series.folder)).drawn([place for one in found.groups for place in one.places])


def _below(dataset: Dataset) -> list[Dataset]:
    found = [dataset]
    for element in dataset:
        if element.VR == "SQ":
            found += [inner for item in element.value for inner in _below(item)]
    return found


def test_uids_of_other_series_are_not_taken_for_its_own(tmp_path: Path) -> None:
    series = ct(tmp_path / "ct")
    place = Place("POINT", np.asarray([(3.5, 7.5)]), ImageReference(str(generate_uid())))
    assert ReportPlaces(read(series.folder)).drawn([place]).mask is None
