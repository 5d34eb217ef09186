"""An archive whose vectors are another encoder's: they stay as they are, and nothing is compared with them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from casewise import formats
from casewise.archive import Archive
from casewise.encoder import Encoder
from casewise.image import Image
from casewise.models import Model, Preparation, Spec
from casewise.models.shipped import default_encoder
from casewise.pipeline.search import find_similar
from tests.image_trees import MeanEncoder

_KINDS = ("AbdomenCT", "CXR", "Hand", "BreastMRI")
_EACH = 4


def former() -> Encoder:
    """As casewise had before: an autoencoder's middle, 512 numbers."""
    network = {"kind": "autoencoder", "channels": [8, 16, 32, 32]}
    return Model.initial("former", Spec("encoding", network, Preparation(size=(64, 64)))).encoder("cpu")


@pytest.fixture(scope="module")
def images(shared_data: Path) -> list[Path]:
    folders = [sorted((shared_data / "mednist" / kind).glob("*.jpeg")) for kind in _KINDS]
    return [path for paths in folders for path in paths[:_EACH]]


def _files(archive: Archive) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (Path(archive.folder) / "vectors").iterdir()}


def test_a_search_makes_vectors_anew_and_leaves_the_former_ones(images: list[Path], shared_data: Path, tmp_path: Path) -> None:
    before, now = former(), default_encoder("cpu")
    assert before.dimension != now.dimension and before.key != now.key
    query = formats.read(sorted((shared_data / "mednist" / "Hand").glob("*.jpeg"))[_EACH])
    steps: list[str] = []
    with Archive.open(tmp_path / "old", create=True) as old, Archive.open(tmp_path / "fresh", create=True) as fresh:
        old.import_paths(images, encoder=before)
        kept, asked = _files(old), old.similar(query, k=5, by=("latent",), encoder=before)
        assert len(old.ids_without_vector(now)) == len(images) and old.vector_count(before) == len(images)
        found = find_similar(old, query, k=5, device="cpu", progress=lambda step, done, total, *_: steps.append(step))
        fresh.import_paths(images)
        assert [case.key for case in found.cases] == [case.key for case in find_similar(fresh, query, k=5, device="cpu").cases]
        assert {Path(case.image).parent.name for case in found.cases[:_EACH]} == {"Hand"}
        assert steps.count("Embedding") >= 2  # whoever waits sees why
        assert _files(old).items() >= kept.items()
        again = old.similar(query, k=5, by=("latent",), encoder=before)
        assert [(case.key, case.score) for case in again] == [(case.key, case.score) for case in asked]


class _OtherEncoder(MeanEncoder):
    """As long vectors, which say something else."""

    key = "other-encoder"

    def encode(
        self, images: Sequence[Image], regions: Sequence[npt.NDArray[np.bool_] | None] | None = None
    ) -> npt.NDArray[np.float32]:
        vectors = super().encode(images, regions)
        return np.asarray(np.stack([vectors[:, 1], vectors[:, 2] ** 2, vectors[:, 0] % 50, vectors[:, 3]], axis=1), np.float32)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.lists(st.sampled_from(["first", "second"]), min_size=1, max_size=6), level=st.integers(0, 255))
def test_vectors_as_long_of_two_encoders_are_never_mixed(
    tmp_path_factory: pytest.TempPathFactory, order: list[str], level: int
) -> None:
    encoders: dict[str, Encoder] = {"first": MeanEncoder(), "second": _OtherEncoder()}
    query, levels = _picture(level), [(37 * number + 11) % 256 for number in range(len(order) + 2)]
    with Archive.open(tmp_path_factory.mktemp("mixed") / "a", create=True) as archive:
        for name, grey in zip([*order, None, None], levels, strict=True):
            archive.add(_picture(grey))
            if name is not None:
                archive.embed(encoders[name])
        for name, encoder in encoders.items():
            asked = archive.similar(query, k=9, by=("latent",), encoder=encoder)
            with Archive.open(tmp_path_factory.mktemp(name) / "a", create=True) as alone:
                for grey in levels:
                    alone.add(_picture(grey))
                expected = alone.similar(query, k=9, by=("latent",), encoder=encoder)
            assert {case.key: case.score for case in asked} == pytest.approx({case.key: case.score for case in expected}, abs=1e-9)


def _picture(level: int) -> Image:
    array = np.full((1, 12, 12), level, np.uint8)
    array[0, ::3] //= 2
    return Image(array, header={"spacing_known": False})
