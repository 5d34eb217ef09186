"""Figures with their units, JSON and charts."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from casewise.json_safe import dumps
from casewise.reporting.chart import BarChart, LineChart, line_chart, ticks
from casewise.reporting.report import file_stem
from casewise.wording import measure, number


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("volume_ml", 4123.0, ("Volume", "4.12 l")),
        ("volume_ml", 0.01234, ("Volume", "0.0123 ml")),
        ("area_mm2", 999.6, ("Area", "1\u202f000 mm²")),
        ("area_px", 1, ("Area", "1 pixel")),
        ("area_px", 12345, ("Area", "12\u202f345 pixels")),
        ("mean_hu", -12.34, ("Mean", "−12.3 HU")),
        ("share_percent", 50.0, ("Share", "50 %")),
        ("count", 3, ("Count", "3")),
        ("diameter_mm", math.nan, ("Diameter", "– mm")),
    ],
)
def test_measures_are_read_with_their_units(name, value, said):
    assert measure(name, value) == said


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_its_own_to_three_digits(value):
    read = float(number(value).replace("\u202f", "").replace("−", "-"))
    assert read == pytest.approx(value, rel=5.1e-3)


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("scan.nii.gz", "scan"),
        ("IM0001.dcm", "IM0001"),
        ("1.2.840.113", "1.2.840.113"),
        ("../../etc/passwd", "etc_passwd"),
        ("..", "report"),
        ("", "report"),
        ("Wirbelsäule 2.PNG", "Wirbelsäule_2"),
        ("a" * 300, "a" * 100),
        ("患" * 83, "患" * 53),
    ],
)
def test_file_names_are_safe(name, stem):
    assert file_stem(name) == stem


def test_json_takes_numpy_and_has_no_nan():
    value = {"a": np.float32(1.5), "b": [np.int64(2), math.nan, -math.inf], "c": np.arange(3), "d": Path("x/y"), 5: (True, None)}
    text = dumps(value)
    assert json.loads(text, parse_constant=pytest.fail) == {
        "a": 1.5,
        "b": [2, None, None],
        "c": [0, 1, 2],
        "d": "x/y",
        "5": [True, None],
    }
    with pytest.raises(TypeError, match="object"):
        dumps(object())


def elements(svg: str, tag: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(svg).iter(f"{{http://www.w3.org/2000/svg}}{tag}"))


def texts(svg: str) -> list[str]:
    return [node.text or "" for node in elements(svg, "text")]


def test_a_legends_stroke_stands_before_its_name_and_stages_have_no_halves():
    svg = LineChart({"montgomery": [(0, 0.91), (1, 0.92)], "shenzhen": [(0, 0.95), (1, 0.95)]}).svg()
    names = {node.text: node for node in elements(svg, "text")}
    strokes = [node.get("d", "") for node in elements(svg, "path") if node.get("d", "").endswith("12h-18")]
    for name, stroke in zip(("shenzhen", "montgomery"), strokes, strict=True):
        assert names[name].get("text-anchor") == "start"
        assert float(stroke[1:].split()[0]) < float(names[name].get("x", ""))
    assert "0.5" not in names and {"0", "1"} <= set(names)


def test_a_line_chart_names_its_lines_and_leaves_gaps(tmp_path):
    series = {"loss <x>": [(0, 1.0), (1, math.nan), (2, 0.5), (3, 0.4)], "one": [(2, 0.7)], "none": []}
    path = line_chart(series, tmp_path / "c.svg", title="T & U", x_label="step")
    svg = path.read_text(encoding="utf-8")
    assert {"loss <x>", "T & U", "step", "one", "none"} <= set(texts(svg))
    lines = [node.get("d", "") for node in elements(svg, "path") if node.get("stroke-linecap")]
    assert sorted(line.count("M") for line in lines) == [0, 1, 2]
    assert "nan" not in svg


def test_bars_are_as_long_as_their_values():
    svg = BarChart({"a": 1.0, "b": 0.5, "gone": math.nan}, "Dice", {"a": (0.9, 1.1)}).svg()
    widths = [float(node.get("width", "0")) for node in elements(svg, "rect")]
    assert widths[0] == pytest.approx(2 * widths[1], abs=0.2) and widths[2] == 1
    assert {"a", "b", "0.5", "–"} <= set(texts(svg))
    assert ElementTree.fromstring(BarChart({}).svg()) is not None and ElementTree.fromstring(LineChart({}).svg()) is not None


@given(st.floats(-1e9, 1e9), st.floats(0, 1e9))
def test_ticks_are_few_and_hold_the_range(low, length):
    found = ticks(low, low + length)
    assert 2 <= len(found) <= 8
    slack = 1e-6 * max(1.0, abs(low), length)
    assert found[0] <= low + slack and found[-1] >= low + length - slack
    assert all(b > a for a, b in pairwise(found))
