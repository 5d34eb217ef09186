"""A row of a table belongs to one image, in whatever form the table was saved, or is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from casewise.archive import Archive
from casewise.archive.ingest.layouts.joining import Images
from casewise.archive.ingest.layouts.table_files import TableError, read_table
from casewise.archive.ingest.layouts.tables import number
from casewise.archive.ingest.report import ImportReport
from casewise.archive.loading import Record
from casewise.errors import ArchiveError
from tests.image_trees import mask, picture

ROWS = "file,age,sex,class\na.png,40,M,x\nb.png,50,F,y\nc.png,60,M,x\n"
FACTS = {"a.png": (40, "M", "x"), "b.png": (50, "F", "y"), "c.png": (60, "M", "x")}


def imported(data: Path, archive: Path, **options: object) -> tuple[dict[str, Record], ImportReport]:
    with Archive.open(archive, create=True) as opened:
        report = opened.import_paths([data], **options)
        return {str(Path(record.name).relative_to(data)): record for record in opened.images()}, report


def facts(records: dict[str, Record]) -> dict[str, tuple[object, ...]]:
    return {name: (record.age, record.sex, record.category) for name, record in records.items()}


SAVED = {
    "utf-8 with a mark": ROWS.encode("utf-8-sig"),
    "utf-16": ROWS.encode("utf-16"),
    "utf-16 big endian": b"\xfe\xff" + ROWS.encode("utf-16-be"),
    "utf-16 without a mark": ROWS.encode("utf-16-le"),
    "utf-32": ROWS.encode("utf-32"),
    "latin-1": ROWS.replace("class\n", "class,Größe\n").replace("x\n", "x,groß\n").replace("y\n", "y,klein\n").encode("latin-1"),
    "excel": b"sep=;\r\n" + ROWS.replace(",", ";").replace("\n", "\r\n").encode(),
    "tabs": ROWS.replace(",", "\t").encode(),
    "bars": ROWS.replace(",", "|").encode(),
    "comments": b"# exported 2024\n#\n\n" + ROWS.encode(),
    "a header behind a hash": b"# " + ROWS.encode(),
    "old Macs": ROWS.replace("\n", "\r").encode(),
    "quotes": ROWS.replace("a.png", '"a.png"').replace("class", '"class"').encode(),
    "without suffixes": ROWS.replace(".png", "").encode(),
    "another suffix": ROWS.replace(".png", ".dcm").encode(),
    "backslashes": ROWS.replace("a.png", "d\\a.png").replace("b.png", ".\\d\\b.png").replace("c.png", "d/c.png").encode(),
    "a drive": ROWS.replace("a.png", "C:\\s\\d\\a.png")
    .replace("b.png", "c:\\s\\d\\b.png")
    .replace("c.png", "C:/s/d/c.png")
    .encode(),
    "a share": ROWS.replace("a.png", r"\\server\s\d\a.png").encode(),
    "another root": ROWS.replace("a.png", "set-small/d/a.png")
    .replace("b.png", "set-small/d/b.png")
    .replace("c.png", "d/c.png")
    .encode(),
}


@pytest.mark.parametrize("saved", SAVED)
def test_a_table_is_read_however_it_was_saved(saved: str, tmp_path: Path) -> None:
    data = tmp_path / "data"
    for number_, name in enumerate("abc"):
        picture(data / "d" / f"{name}.png", number_)
    (data / "labels.csv").write_bytes(SAVED[saved])
    records, report = imported(data, tmp_path / "archive")
    assert facts(records) == {f"d/{name}": known for name, known in FACTS.items()}
    (table,) = report.tables
    assert (table.rows, table.used, table.reason) == (3, 3, None)
    assert report.skipped == report.failed == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (ROWS.replace("class", "Диагноз").encode("cp1251"), "save it in UTF-8"),
        (b'file,age\n"a.png,40\n', "no CSV table"),
        (b"\xff\xfea", "UTF-16"),
        (b"\0\1\2" * 50, "no text"),
    ],
)
def test_a_table_that_cannot_be_read_is_named(content: bytes, said: str, tmp_path: Path) -> None:
    picture(tmp_path / "d" / "a.png", 1)
    (tmp_path / "d" / "labels.csv").write_bytes(content)
    records, report = imported(tmp_path / "d", tmp_path / "archive")
    assert records["a.png"].category is None
    (refused,) = report.failed
    assert Path(refused.path).name == "labels.csv" and said in refused.reason and "not used" in refused.reason


def test_a_table_of_something_else_is_reported_as_not_used(tmp_path: Path) -> None:
    picture(tmp_path / "d" / "a.png", 1)
    (tmp_path / "d" / "costs.csv").write_text("item,price\nbed,3\n")
    (tmp_path / "d" / "labels.xlsx").write_bytes(b"PK\3\4")
    for _ in range(2):
        _, report = imported(tmp_path / "d", tmp_path / "archive")
        reasons = {Path(one.path).name: one.reason for one in report.skipped}
        assert "holds the paths or file names" in reasons["costs.csv"] and "save it as CSV" in reasons["labels.xlsx"]
        assert {Path(table.path).name: table.used for table in report.tables} == {"costs.csv": 0, "labels.xlsx": 0}


def test_repeated_file_names_are_distinguished_by_their_paths(tmp_path: Path) -> None:
    data = tmp_path / "chexpert"
    for patient in (1, 2, 3):
        picture(data / "train" / f"patient{patient:05d}" / "study1" / "view1_frontal.jpg".replace("jpg", "png"), patient)
    table = "Path,Sex,Age\n" + "".join(
        f"CheXpert-v1.0-small/train/patient{patient:05d}/study1/view1_frontal.png,{'FM'[patient % 2]},{30 + patient}\n"
        for patient in (1, 2, 4)
    )
    (data / "train.csv").write_text(table)
    records, report = imported(data, tmp_path / "archive")
    ages = {name.split("/")[1]: (record.age, record.sex) for name, record in records.items()}
    assert ages == {"patient00001": (31, "M"), "patient00002": (32, "F"), "patient00003": (None, None)}
    assert report.tables[0].used == 2 and "patient00004" in str(report.tables[0].reason)
    assert {record.subject for record in records.values()} == {f"chexpert/patient{patient:05d}" for patient in (1, 2, 3)}


@pytest.mark.parametrize(
    ("images", "cell"),
    [
        (["p1/x.png", "p2/x.png"], "x.png"),  # a file name of two images
        (["p1/x.png"], "p2/x.png"),  # another folder's
        (["valid/x.png", "valid/y.png"], "C:\\set\\train\\x.png"),  # another split's
        (["x.png"], "p2/x.png"),
        (["1.png", "10.png"], "01.png"),
        (["a.png", "a.jpg"], "a"),
        (["é.png"], "e.png"),
        (["a+.png"], "a-.png"),
        (["A.png"], "a.png"),
        (["p1/x.png"], "deep/p11/x.png"),
    ],
)
def test_a_cell_that_is_no_certain_image_is_none(images: list[str], cell: str) -> None:
    found, _ = Images(Path("/d"), [Path("/d") / name for name in images]).named([cell])
    assert found == {}


@pytest.mark.parametrize(
    ("images", "cell", "right"),
    [
        (["a/x.png", "b/y.png"], "x.png", "a/x.png"),
        (["a/p1/x.png", "a/p2/x.png"], "p1/x.png", "a/p1/x.png"),
        (["x.png", "a/x.png"], "x.png", "x.png"),
        (["a/x.png"], "D:\\old\\place\\a\\x.png", "a/x.png"),
        (["a/x.png"], "/mnt/old/a/x.png", "a/x.png"),
        (["scans/x.png"], "D:\\old\\place\\x.png", "scans/x.png"),
        (["Müller.png", "Muller.png"], "Mu\u0308ller.png", "Müller.png"),
        (["d/A.PNG"], "D:\\d\\a.png", "d/A.PNG"),
        (["1.2.840.5.dcm", "1.2.840.55.dcm"], "1.2.840.5", "1.2.840.5.dcm"),
        (["患者甲.png", "患者乙.png"], "患者乙", "患者乙.png"),
    ],
)
def test_a_cell_finds_its_image(images: list[str], cell: str, right: str) -> None:
    found, refused = Images(Path("/d"), [Path("/d") / name for name in images]).named([cell])
    assert (found, refused) == ({cell: Path("/d") / right}, {})


def test_two_paths_that_lead_to_one_image_are_neithers(tmp_path: Path) -> None:
    picture(tmp_path / "d" / "p1" / "x.png", 1)
    picture(tmp_path / "d" / "p1" / "y.png", 2)
    rows = "Path,age\n/old/one/p1/x.png,40\n/old/two/p1/x.png,50\n/old/one/p1/y.png,60\n"
    (tmp_path / "d" / "t.csv").write_text(rows)
    records, report = imported(tmp_path / "d", tmp_path / "archive")
    assert (records["p1/x.png"].age, records["p1/y.png"].age) == (None, 60)
    assert len(report.failed) == 2 and all("another row" in one.reason for one in report.failed)


def test_rows_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    for seed, name in enumerate("abc"):
        picture(tmp_path / "d" / f"{name}.png", seed)
    (tmp_path / "d" / "t.csv").write_text("image,sex,finding\na,M,x\na,F,x\nb,F,x\nb,F,y\nc,M,z\nc,M,z\n")
    records, report = imported(tmp_path / "d", tmp_path / "archive")
    assert [records[f"{name}.png"].sex for name in "abc"] == [None, "F", "M"]
    assert [records[f"{name}.png"].content.get("finding") for name in "abc"] == [None, None, "z"]
    (refused,) = report.failed
    assert "line 2" in refused.reason and "line 3" in refused.reason and "sex F or M" in refused.reason
    assert "finding" in str(report.tables[0].reason)


def test_rows_of_several_tables_that_contradict_each_other_are_counted_by_table(tmp_path: Path) -> None:
    for seed, name in enumerate("abc"):
        picture(tmp_path / "d" / f"{name}.png", seed)
    (tmp_path / "d" / "one.csv").write_text("image,sex\na,M\nb,M\nb,M\nc,M\n")
    (tmp_path / "d" / "two.csv").write_text("image,sex\na,F\nb,F\nc,M\n")
    _, report = imported(tmp_path / "d", tmp_path / "archive")
    assert {Path(table.path).name: (table.used, table.rows) for table in report.tables} == {"one.csv": (1, 4), "two.csv": (1, 3)}
    said = {(Path(one.path).name, one.reason.partition(" about ")[2][0]) for one in report.failed}
    assert said == {("one.csv", "a"), ("one.csv", "b"), ("two.csv", "a"), ("two.csv", "b")}


def test_rows_that_do_not_fit_the_header_are_refused(tmp_path: Path) -> None:
    for seed, name in enumerate("ab"):
        picture(tmp_path / "d" / f"{name}.png", seed)
    (tmp_path / "d" / "t.csv").write_text("image,finding,sex\na.png,round, smooth,F\nb.png,flat,M\n")
    records, report = imported(tmp_path / "d", tmp_path / "archive")
    assert (records["a.png"].sex, records["b.png"].sex) == (None, "M")
    assert "4 cells" in report.failed[0].reason


def test_masks_of_the_images_names_do_not_make_them_ambiguous(tmp_path: Path) -> None:
    picture(tmp_path / "d" / "images" / "a1.png", 1)
    mask(tmp_path / "d" / "masks" / "heart" / "a1.png", (255,), (16, 16))
    (tmp_path / "d" / "t.csv").write_text("study,age\na1.png,80\n")
    records, report = imported(tmp_path / "d", tmp_path / "archive")
    assert records["images/a1.png"].age == 80 and report.failed == []


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1_2", "1_2"),
        ("1e5", "1e5"),
        ("nan", "nan"),
        ("inf", "inf"),
        ("007", "007"),
        ("12", 12),
        ("-3", -3),
        ("2.50", 2.5),
        ("１２", "１２"),
        ("9" * 5000, "9" * 5000),
        ("1,5", "1,5"),
        ("", ""),
        ("1 000", "1 000"),
        ("0", 0),
        ("0.5", 0.5),
        ("00.5", "00.5"),
        ("1.2.3", "1.2.3"),
    ],
)
def test_what_is_a_number(text: str, value: object) -> None:
    assert number(text) == value and type(number(text)) is type(value)


def test_decimal_commas_where_commas_part_no_cells(tmp_path: Path) -> None:
    picture(tmp_path / "d" / "a.png", 1)
    (tmp_path / "d" / "t.csv").write_text("image;age;dose;id\na.png;61,5;2,25;0042\n")
    records, _ = imported(tmp_path / "d", tmp_path / "archive")
    assert (records["a.png"].age, records["a.png"].content) == (61.5, {"dose": 2.25, "id": "0042"})


@pytest.mark.parametrize(
    ("text", "age"),
    [("040Y", 40), ("61 years", 61), ("006M", 0.5), ("1_2", None), ("130", None), ("nan", None), ("old", None), ("-1", None)],
)
def test_ages(text: str, age: float | None, tmp_path: Path) -> None:
    picture(tmp_path / "d" / "a.png", 1)
    (tmp_path / "d" / "t.csv").write_text(f"image,age\na.png,{text}\n")
    records, _ = imported(tmp_path / "d", tmp_path / "archive")
    assert records["a.png"].age == age


@pytest.mark.parametrize(
    "title", ["PatientName", "patient_name", "Nachname", "Имя пациента", "患者姓名", "Birth Date", "lastname", "E-Mail name"]
)
def test_columns_that_may_name_a_person_are_left_out(title: str, tmp_path: Path) -> None:
    picture(tmp_path / "d" / "a.png", 1)
    (tmp_path / "d" / "t.csv").write_text(f"image,{title}\na.png,Doe^Jane\n", encoding="utf-8")
    records, _ = imported(tmp_path / "d", tmp_path / "archive")
    assert "Doe" not in str(records["a.png"])


def test_cells_with_line_breaks_and_line_separators(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes('image,note\n"a\nb.png",x\u2028y\r\nc.png,"1\r\n2"\n'.encode())
    assert [row for _, row in read_table(path).rows] == [
        {"image": "a\nb.png", "note": "x\u2028y"},
        {"image": "c.png", "note": "1\r\n2"},
    ]


def test_a_manifest_with_a_line_break_in_a_name_names_no_other_file(tmp_path: Path) -> None:
    picture(tmp_path / "d" / "ab.png", 1)
    picture(tmp_path / "d" / "a.png", 2)
    (tmp_path / "d" / "m.csv").write_text('image,category\n"a\nb.png",x\na.png,x\u2028y\n', encoding="utf-8")
    records, report = imported(tmp_path / "d", tmp_path / "archive", manifest=tmp_path / "d" / "m.csv")
    assert {name: record.category for name, record in records.items()} == {"ab.png": None, "a.png": "x\u2028y"}
    assert [Path(one.path).name for one in report.failed] == ["a\nb.png"]
    assert [Path(name).name for name in report.not_in_manifest] == ["ab.png"]


def test_a_manifest_from_another_machine(tmp_path: Path) -> None:
    picture(tmp_path / "d" / "images" / "a.png", 1)
    picture(tmp_path / "d" / "images" / "Mu\u0308ller.png", 3)
    mask(tmp_path / "d" / "drawn" / "a.png", (255,), (16, 16))
    rows = "image;mask:right ventricle;category\nC:\\s\\images\\a.png;C:\\s\\drawn\\a.png;x\nimages\\Müller.png;;y\n"
    (tmp_path / "d" / "m.csv").write_bytes(rows.encode("utf-16"))
    records, report = imported(tmp_path / "d", tmp_path / "archive", manifest=tmp_path / "d" / "m.csv")
    assert {Path(name).name[0]: record.category for name, record in records.items()} == {"a": "x", "M": "y"}
    assert report.masks == {"right ventricle": 1} and report.failed == [] and report.not_in_manifest == []


def test_masks_that_a_manifest_names_are_no_images_even_where_theirs_is_missing(tmp_path: Path) -> None:
    picture(tmp_path / "d" / "b.png", 1)
    mask(tmp_path / "d" / "drawn.png", (255,), (16, 16))
    (tmp_path / "d" / "m.csv").write_text("image,mask\na.png,drawn.png\n")
    records, report = imported(tmp_path / "d", tmp_path / "archive", manifest=tmp_path / "d" / "m.csv")
    assert list(records) == ["b.png"]
    assert {Path(one.path).name for one in report.failed} == {"a.png", "drawn.png"}
    assert [Path(name).name for name in report.not_in_manifest] == ["b.png"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("image,category\na.png,x\na.png,y\n", "Lines 2 and 3"),
        ("image,mask:heart,mask:Heart\na.png,b.png,c.png\n", "twice"),
        ("image,mask\na.png,b.png\nb.png,\n", "line 2 a mask"),
        (f'image,boxes\na.png,"{"9" * 5000}:{"9" * 5000}1,1:2"\n', "LO:HI"),
        ('image,boxes\na.png,"٣:٤,1:2"\n', "LO:HI"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_one_sentence(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text(text, encoding="utf-8")
    with Archive.open(tmp_path / "archive", create=True) as archive, pytest.raises(ArchiveError) as caught:
        archive.import_paths([], manifest=tmp_path / "m.csv")
    assert said in str(caught.value) and "m.csv" in str(caught.value) and len(str(caught.value)) < 400


def test_several_rows_of_an_image_add_their_masks(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", 1)
    for name in ("heart", "lung"):
        mask(tmp_path / f"{name}.png", (255,), (16, 16))
    (tmp_path / "m.csv").write_text("image,mask:heart,mask:lung,category\na.png,heart.png,,x\na.png,,lung.png,x\n")
    with Archive.open(tmp_path / "archive", create=True) as archive:
        report = archive.import_paths([], manifest=tmp_path / "m.csv")
    assert report.masks == {"heart": 1, "lung": 1} and report.failed == []


def test_a_table_is_too_large_or_no_text(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(ROWS)
    with pytest.raises(TableError, match="MB"):
        read_table(tmp_path / "t.csv", largest=10)
