"""What the weights may be used for: stated in every shipped model, listed by ``casewise models``, and part of the wheel."""

from __future__ import annotations

import dataclasses
import email
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from casewise.errors import ModelError
from casewise.models import Lineage, Model
from casewise.models.licences import TrainingData, research_only
from casewise.models.listing import SHIPPED, describe_model
from casewise.training import Settings, fit
from recipes.licences import DATA, page
from tests.discs import disc_case, segmenter

ROOT = Path(__file__).resolve().parents[2]
RESTRICTED = TrainingData("Hearts", "CC BY-NC 4.0", True)
FREE = TrainingData("Lungs", "CC BY 4.0", False)


def test_every_shipped_model_states_the_licences_of_its_training_data() -> None:
    assert {path.parent.name for path in SHIPPED.glob("*/weights.safetensors")} == set(DATA)
    for path in SHIPPED.glob("*/model.toml"):
        listed = describe_model(path.parent)
        assert listed["licences"] == [one.to_toml() for one in DATA[path.parent.name]], path
        assert Model.load(path.parent).key == listed["key"]


def test_a_card_says_that_its_weights_are_for_research_only() -> None:
    for folder, data in DATA.items():
        card = (SHIPPED / folder / "card.md").read_text(encoding="utf-8")
        assert ("weights for research only" in card) == research_only(data), folder


def test_the_page_of_licences_is_made_from_them() -> None:
    assert (ROOT / "LICENSE-WEIGHTS.md").read_text(encoding="utf-8") == page(), "python -m recipes.licences writes it"


def test_a_model_trained_from_another_inherits_its_training_data(tmp_path: Path) -> None:
    parent = dataclasses.replace(segmenter(), lineage=Lineage(training_data=(FREE, RESTRICTED)))
    child = fit(parent, [disc_case(1), disc_case(2)], settings=Settings(steps=1, batch=2))
    folder = child.save(tmp_path / "child")
    assert Model.load(folder).lineage.training_data == (FREE, RESTRICTED)
    listed = describe_model(folder)
    assert listed["research_only"] is True
    assert "weights for research only" in (folder / "card.md").read_text(encoding="utf-8")
    assert child.key == dataclasses.replace(child, lineage=Lineage()).key


def test_a_model_of_free_data_is_not_for_research_only(tmp_path: Path) -> None:
    folder = dataclasses.replace(segmenter(), lineage=Lineage(training_data=(FREE,))).save(tmp_path / "model")
    assert describe_model(folder)["research_only"] is False
    assert "research only" not in (folder / "card.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("table", ['name = "X"', 'name = "X"\nlicence = "Y"\nresearch_only = "no"', 'names = "X"'])
def test_a_table_that_is_none_is_one_sentence(tmp_path: Path, table: str) -> None:
    folder = segmenter().save(tmp_path / "model")
    with (folder / "model.toml").open("a", encoding="utf-8") as document:
        document.write(f"\n[[lineage.training_data]]\n{table}\n")
    for read in (describe_model, Model.load):
        with pytest.raises(ModelError, match="training_data"):
            read(folder)


def test_the_wheel_says_so(tmp_path: Path) -> None:
    """The metadata of the wheel, as the build backend writes it for a checkout without the package's files."""
    for name in ("pyproject.toml", "README.md", "LICENSE", "LICENSE-WEIGHTS.md"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "src" / "casewise").mkdir(parents=True)
    (tmp_path / "src" / "casewise" / "__init__.py").touch()
    code = "from setuptools import build_meta; build_meta.prepare_metadata_for_build_wheel('meta')"
    (tmp_path / "meta").mkdir()
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True, env=dict(os.environ))
    (info,) = (tmp_path / "meta").glob("*.dist-info")
    metadata = email.message_from_string((info / "METADATA").read_text(encoding="utf-8"))
    assert metadata["License-Expression"] == "Apache-2.0 AND LicenseRef-casewise-research-only-weights"
    assert "LICENSE-WEIGHTS.md" in metadata.get_all("License-File", [])
    assert (info / "licenses" / "LICENSE-WEIGHTS.md").read_text(encoding="utf-8") == page()
