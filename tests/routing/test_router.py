"""The router: what it decides for pictures and volumes, with tags and without, and how it is kept."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from casewise.case import Case
from casewise.errors import CasewiseError, ModelError, UsageError
from casewise.image import Image
from casewise.routing.categories import FILE, read
from casewise.routing.features import features
from casewise.routing.out_of_distribution import DISAGREEING
from casewise.routing.route import UNKNOWN
from casewise.routing.router import Router
from casewise.routing.training import Plan, train_router
from casewise.training import Settings

EDGE = 40


def picture(kind: str, seed: int) -> np.ndarray:
    """``disc``: a bright disc; ``bars``: stripes; ``grain``: noise, which no router here is taught."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:EDGE, :EDGE] / EDGE
    noise = rng.normal(0, 0.03, (EDGE, EDGE))
    if kind == "disc":
        centre, radius = rng.uniform(0.4, 0.6, 2), rng.uniform(0.2, 0.3)
        return ((rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 < radius**2) * 0.8 + 0.1 + noise
    if kind == "bars":
        return 0.5 + 0.4 * np.sign(np.sin(2 * np.pi * rng.uniform(4, 6) * columns + rng.uniform(0, 6))) + noise
    return rng.random((EDGE, EDGE))


def image(kind: str, seed: int, **header: object) -> Image:
    return Image(picture(kind, seed)[None].astype(np.float32), header=header)


def cases() -> list[Case]:
    return [
        Case.of(image(kind, seed), category=name, subject=f"{name}-{seed}", site="somewhere")
        for kind, name in (("disc", "chest-xray"), ("bars", "head-ct"))
        for seed in range(40)
    ]


@pytest.fixture(scope="module")
def router() -> Router:
    looked: list[tuple[int, int]] = []
    made = train_router(
        cases(), "tiny", plan=Plan(size=64, bank=80, held_out=40), looking=lambda done, total: looked.append((done, total))
    )
    assert looked == [(160, 320), (240, 320), (320, 320)]  # of two categories and unknown, and those held out of two
    return made


def test_a_network_of_the_plans_own_is_trained(tmp_path: Path) -> None:
    plan = Plan(size=32, channels=(8, 16), pictures=60, bank=40, held_out=40)
    settings = Settings(steps=90, batch=16, rate=5e-3, augmentation="none")
    seen: list[int] = []
    made = train_router(cases(), "own", plan=plan, settings=settings, progress=lambda step, steps, loss: seen.append(step))
    assert seen[-1] == 90 and made.model.spec.network["kind"] == "classifier"
    again = Router.load(made.save(tmp_path / "kept"))
    right = [again.route(image("disc", seed)).category == "chest-xray" for seed in range(100, 110)]
    assert sum(right) >= 8


def test_its_network_is_the_shared_encoder_and_a_layer(router: Router) -> None:
    assert set(router.model.weights) == {"head.weight", "head.bias"}
    assert router.model.lineage.parent_name == "backbone" and len(router.model.trained_on) >= 60


@pytest.mark.parametrize("classifier", ["softmax", "svm"])
def test_pictures_go_where_they_belong(router: Router, classifier: str) -> None:
    right = 0
    for kind, name in (("disc", "chest-xray"), ("bars", "head-ct")):
        for seed in range(100, 110):
            route = router.route(image(kind, seed), classifier)
            right += route.category == name
            assert route.classifier == classifier
            assert {score.category for score in route.scores} == {"chest-xray", "head-ct", UNKNOWN}
            chances = [score.probability for score in route.scores]
            assert chances == sorted(chances, reverse=True)
            assert sum(chances) == pytest.approx(1)
            assert (route.category, route.probability) == (route.scores[0].category, route.scores[0].probability)
    assert right >= 18


def test_what_is_unlike_everything_is_unknown(router: Router) -> None:
    farther = [router.route(image("grain", seed)).strangeness for seed in range(6)]
    known = [router.route(image(kind, seed)).strangeness for kind in ("disc", "bars") for seed in range(200, 206)]
    assert min(farther) > max(known)
    assert [router.route(image("grain", seed)).category for seed in range(6)].count(UNKNOWN) >= 5


def test_neighbours_of_another_category_make_an_image_stranger(router: Router) -> None:
    found, logits = features(router.model, [picture("disc", seed).clip(0, 1).astype(np.float32) for seed in range(100, 110)], "cpu")
    agreed, doubted = router.score(found, logits, "softmax"), router.score(found, logits[:, [1, 0, 2]], "softmax")
    assert agreed.disagreement.mean() < 0.1 and doubted.disagreement.mean() > 0.9
    added = doubted.strangeness - agreed.strangeness
    assert added == pytest.approx(DISAGREEING * (doubted.disagreement - agreed.disagreement))


@pytest.mark.parametrize("classifier", ["softmax", "svm"])
def test_an_unsure_image_has_one_route_however_it_is_turned(
    router: Router, classifier: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares = np.linspace(0.6, 0.9, 24)
    seen = [picture("bars", seed) * share + picture("grain", seed) * (1 - share) for seed, share in enumerate(shares)]
    seen = [one[:39, :39] for one in seen]  # contrast is measured on every other pixel: of 39 these are the same in every pose
    sure = [router.route(Image(one[None].astype(np.float32)), classifier) for one in seen]
    assert {route.poses for route in sure} == {1, 4}
    assert all(route.poses == 1 for route in sure if route.known and route.probability > 0.95)
    monkeypatch.setattr("casewise.routing.router._SURE", 2.0)
    monkeypatch.setattr("casewise.routing.router._HOPELESS", np.inf)
    for one in seen:
        lying = [router.route(Image(np.rot90(one, turns)[None].astype(np.float32)), classifier) for turns in range(4)]
        assert {route.category for route in lying} == {lying[0].category}
        for route in lying:
            assert (route.views, route.poses) == (1, 4)
            assert route.probability == pytest.approx(lying[0].probability, abs=1e-3)
            assert route.strangeness == pytest.approx(lying[0].strangeness, abs=1e-3)


def test_a_volume_is_looked_at_again_slice_by_slice(router: Router, monkeypatch: pytest.MonkeyPatch) -> None:
    slices = np.stack([picture("disc", seed) for seed in range(20)], axis=-1)
    volume = Image(slices[None].astype(np.float32), np.diag([1.0, 1.0, 5.0, 1.0]))
    assert (router.route(volume).views, router.route(volume).poses) == (9, 1)
    monkeypatch.setattr("casewise.routing.router._SURE", 2.0)
    again = router.route(volume).to_json()
    assert (again["views"], again["poses"], again["category"]) == (9, 4, "chest-xray")


def test_what_no_pose_can_make_known_is_looked_at_once(router: Router) -> None:
    assert router.route(Image(np.zeros((1, 64, 64), np.int16))).poses == 1


def test_a_blank_image_is_unknown(router: Router) -> None:
    assert router.route(Image(np.zeros((1, 64, 64), np.int16))).category == UNKNOWN


@pytest.mark.parametrize("value", [0, 7, 255])
@pytest.mark.parametrize("shape", [(1, 256, 256), (3, 90, 120), (1, 60, 64, 20)])
@pytest.mark.parametrize("classifier", ["softmax", "svm"])
def test_the_shipped_router_recognises_nothing_in_one_value(value: int, shape: tuple[int, ...], classifier: str) -> None:
    route = Router.load().route(Image(np.full(shape, value, np.float32)), classifier)
    assert route.category == UNKNOWN and route.probability > 0.99


def test_size_bit_depth_padding_and_polarity_say_nothing(router: Router) -> None:
    plain = picture("disc", 300)
    changed = {
        "16 bit": np.clip(plain * 3000, 0, None).astype(np.uint16),
        "padded": np.pad(plain, ((0, 30), (5, 20)), constant_values=0.0),
        "inverted": 1 - plain,
        "larger": np.kron(plain, np.ones((9, 9))),
        "far from zero": plain * 100 - 5000,
    }
    answers = {name: router.route(Image(array[None])).category for name, array in changed.items()}
    assert answers == dict.fromkeys(changed, "chest-xray")


def test_colour_is_scored_by_its_luminance(router: Router) -> None:
    colour = np.repeat((picture("bars", 5)[None].clip(0, 1) * 255).astype(np.uint8), 3, axis=0)
    assert router.route(Image(colour)).category == "head-ct"


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_volume_of_any_orientation_is_scored_on_its_axial_slices(router: Router, axis: int) -> None:
    """The same patient, with head to feet along another axis of the array, as the affine says."""
    slices = np.stack([picture("disc", seed) for seed in range(24)])
    volume = np.moveaxis(slices, 0, axis)
    affine = np.eye(4)
    affine[:3, :3] = np.roll(np.eye(3), axis - 2, axis=1)  # the slices' axis runs to the head
    affine[:3, :3] = affine[:3, :3] * np.array([-1, 1, 1])[:, None]
    route = router.route(Image(volume[None], affine))
    assert route.category == "chest-xray"
    assert route.views == 9


def test_empty_slices_do_not_count(router: Router) -> None:
    slices = [picture("disc", seed) if 8 <= seed < 16 else np.zeros((EDGE, EDGE)) for seed in range(24)]
    route = router.route(Image(np.stack(slices, axis=-1)[None], np.diag([1.0, 1.0, 5.0, 1.0])))
    assert route.category == "chest-xray"
    assert 1 <= route.views < 9


def test_tags_that_agree_are_a_prior(router: Router) -> None:
    tagged = router.route(image("disc", 7, modality="CR", body_part="CHEST"))
    assert tagged.prior.fits == ("chest-xray",)
    assert not tagged.prior.contradicted
    plain = router.route(image("disc", 7))
    assert plain.prior.fits is None
    assert tagged.probability >= plain.probability - 1e-12  # rounding


def test_a_modality_that_contradicts_sure_pixels_makes_unknown(router: Router) -> None:
    assert router.route(image("disc", 7)).category == "chest-xray"
    route = router.route(image("disc", 7, modality="CT", body_part="HEAD"))
    assert route.category == UNKNOWN and route.looked == "chest-xray"
    assert route.prior.contradicted
    assert "CT HEAD" in route.prior.sentence and "chest-xray" in route.prior.sentence
    assert any("chest-xray" in reason for reason in route.reasons)
    prior = route.to_json()["prior"]
    assert isinstance(prior, dict) and prior["contradicted"] is True and prior["fits"] == ["head-ct"]
    assert router.route(image("disc", 7, modality="CT", body_part="HEAD"), tags=False).category == "chest-xray"


def test_the_nearest_training_images_are_of_the_images_category(router: Router) -> None:
    for kind, name in (("disc", "chest-xray"), ("bars", "head-ct")):
        nearest = router.route(image(kind, 7)).nearest
        assert nearest[0].category == name and nearest[0].share >= 0.8
        assert sum(near.share for near in nearest) == pytest.approx(1)


def test_a_router_keeps_the_table_of_its_own_categories(router: Router, tmp_path: Path) -> None:
    (tmp_path / "archive").mkdir()
    table = '[category.head-ct]\nname = "cCT"\nmodalities = ["CT"]\nparts = ["NEUROCRANIUM"]\n[category.other]\nname = "Other"\n'
    (tmp_path / "archive" / FILE).write_text(table)
    router.extended_by(tmp_path / "archive").save(tmp_path / "kept")
    again = Router.load(tmp_path / "kept")
    assert set(read(tmp_path / "kept").entries) == {"head-ct"}
    assert again.route(image("bars", 3, modality="CT", body_part="NEUROCRANIUM")).prior.fits == ("head-ct",)
    assert again.route(image("bars", 3, modality="CT", body_part="HEAD")).prior.fits == ()
    router.save(tmp_path / "plain")
    assert not (tmp_path / "plain" / FILE).exists()


def test_a_router_is_the_same_after_it_was_written_and_read(router: Router, tmp_path: Path) -> None:
    router.save(tmp_path / "kept")
    again = Router.load(tmp_path / "kept")
    for kind in ("disc", "bars", "grain"):
        for classifier in ("softmax", "svm"):
            first, second = router.route(image(kind, 9), classifier), again.route(image(kind, 9), classifier)
            assert first.category == second.category
            assert first.probability == pytest.approx(second.probability, abs=1e-3)
    assert again.measures == pytest.approx(dict(router.measures))
    with pytest.raises(ModelError, match="exists"):
        router.save(tmp_path / "kept")
    assert not any(path.name.startswith(".") for path in tmp_path.iterdir())


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "router.toml").unlink(),
        lambda folder: (folder / "router.toml").write_bytes(b"\xff\xfe"),
        lambda folder: (folder / "router.toml").write_text("format = 9"),
        lambda folder: (folder / "router.safetensors").write_bytes(b"no tensors"),
        lambda folder: (folder / "router.safetensors").unlink(),
        lambda folder: (folder / "weights.safetensors").write_bytes(b""),
        lambda folder: _replaced(folder / "router.toml", 'classifier = "softmax"', 'classifier = "guess"'),
        lambda folder: _replaced(folder / "router.toml", "[softmax]", "[softmaxx]"),
        lambda folder: _replaced(folder / "router.toml", "network = ", "network_was = "),
        lambda folder: shutil.rmtree(folder),
    ],
)
def test_a_damaged_folder_is_one_sentence(router: Router, tmp_path: Path, damage) -> None:  # type: ignore[no-untyped-def]
    folder = router.save(tmp_path / "kept")
    damage(folder)
    with pytest.raises(ModelError) as caught:
        Router.load(folder)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)


def _replaced(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_what_cannot_be_asked_is_said(router: Router) -> None:
    with pytest.raises(UsageError, match="softmax, svm"):
        router.route(image("disc", 1), "forest")
    with pytest.raises(CasewiseError, match="finite"):
        router.route(Image(np.full((1, 32, 32), np.nan)))
    with pytest.raises(CasewiseError, match="two categories"):
        train_router([Case.of(image("disc", 1), category="chest-xray")], "alone")
