"""The registration check: checkerboards whose tiles take turns, and a row for each sequence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from casewise.errors import CasewiseError
from casewise.image import Image
from casewise.reporting.registration import SequenceView, checkerboard, sequence_rows, write_checkerboards

CHECK = {"to": "T2", "before": 0.2, "after": 0.31, "misplaced": 0.1, "used": True, "moved_mm": 4.0, "turned_degrees": 2.5}


def views(shape: tuple[int, ...] = (40, 60, 5)) -> list[SequenceView]:
    rng = np.random.default_rng(0)
    first, second, third = (Image(rng.uniform(0, 100, (1, *shape)), np.diag([1.0, 1.0, 4.0, 1.0])) for _ in range(3))
    other = SequenceView("DWI b800", second, third, {"registration": CHECK, "told_by": "description"})
    return [SequenceView("T2", first, None, {"registration": None}), other]


def test_the_tiles_of_a_checkerboard_take_turns() -> None:
    board = checkerboard(np.zeros((16, 32), np.uint8), np.full((16, 32), 255, np.uint8), tiles=4)
    assert board[0, 0] == 0
    assert board[0, 8] == 255
    assert board[8, 0] == 255
    assert board[8, 8] == 0
    assert np.count_nonzero(board) == board.size / 2


def test_a_checkerboard_is_of_one_size() -> None:
    with pytest.raises(CasewiseError, match="of one size"):
        checkerboard(np.zeros((4, 4), np.uint8), np.zeros((4, 5), np.uint8))


def test_each_sequence_has_its_row_and_all_but_the_reference_their_check() -> None:
    reference, other = sequence_rows(views())
    assert (reference["name"], reference["check"], reference["boards"]) == ("T2", None, [])
    assert other["check"] == {"to": "T2", "before": "0.200", "after": "0.310", "misplaced": "0.100", "moved": "4 mm, 2.5°"}
    assert isinstance(other["boards"], list)
    assert len(set(other["boards"])) == 2
    assert sequence_rows([]) == []


def test_the_check_is_written_as_a_picture_before_beside_after(tmp_path: Path) -> None:
    written = write_checkerboards(views(), tmp_path, "study")
    assert {name: path.name for name, path in written.items()} == {"DWI b800": "study-DWI_b800-check.png"}
    with Pillow.open(written["DWI b800"]) as picture:
        assert picture.width > 1.2 * picture.height


def test_a_folder_that_cannot_be_written_to_gets_its_sentence(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file, no folder")
    with pytest.raises(CasewiseError, match="cannot be written"):
        write_checkerboards(views(), tmp_path / "taken", "study")
