"""Several people's masks of one structure, and similar cases."""

from __future__ import annotations

import numpy as np

from casewise.formats import write
from casewise.image import Image
from casewise.server.compat.monailabel.masks import masks_of
from casewise.server.label_names import names_for
from casewise.server.sessions.beginning import own_mask
from casewise.server.vectors import encoder
from tests.server.cases.conftest import picture


def _three_masks(archive, key):
    image = archive.case(key).image
    ann, ben = np.zeros((2, 48, 48), bool)
    ann[10:20, 10:20], ben[10:20, 15:25] = True, True
    archive.add_masks(key, image, {"disc": ann}, origin={"how": "interactive", "user": "ann"})
    archive.add_masks(key, image, {"disc@ben": ben}, origin={"how": "interactive", "user": "ben"})
    return ann, ben


def test_agreement_and_the_final_mask(caller, archive, keys):
    ann, ben = _three_masks(archive, keys[2])
    client = caller("admin", "root")
    found = client.get(f"/api/v1/cases/{keys[2]}/agreement?structure=disc").json()
    assert [(one["name"], one["user"], one["final"]) for one in found["masks"]] == [
        ("disc", "ann", True),
        ("disc@ben", "ben", False),
    ]
    assert found["pairs"] == [{"first": "disc", "second": "disc@ben", "dice": 0.5}]
    order = {"structure": "disc", "name": "disc@ben"}
    assert caller("annotator", "cleo").put(f"/api/v1/cases/{keys[2]}/final", json=order).status_code == 403
    chosen = client.put(f"/api/v1/cases/{keys[2]}/final", json=order).json()
    final = next(one for one in chosen["masks"] if one["final"])
    assert (final["user"], final["chosen_by"]) == ("ben", "root")
    assert [one["name"] for one in chosen["masks"] if one["user"] == "ben"] == ["disc@ben", "disc"]
    assert [{pair["first"], pair["second"]} for pair in chosen["pairs"]] == [{"disc", "disc@ann"}], (
        "nobody is compared with himself"
    )
    masks = archive.case(keys[2]).load_masks
    np.testing.assert_array_equal(masks["disc"](), ben)
    np.testing.assert_array_equal(masks["disc@ann"](), ann), "nobody's work is lost"
    client.put(f"/api/v1/cases/{keys[2]}/final", json={"structure": "disc", "name": "disc@ann"})
    np.testing.assert_array_equal(archive.case(keys[2]).load_masks["disc"](), ann)
    assert sorted(archive.case(keys[2]).load_masks) == ["disc", "disc@ann", "disc@ben"]


def test_a_mask_that_has_changed_since_it_was_looked_at_is_not_chosen(caller, archive, keys):
    _three_masks(archive, keys[2])
    client, url = caller("admin", "root"), f"/api/v1/cases/{keys[2]}"
    seen = {one["name"]: one["version"] for one in client.get(f"{url}/agreement?structure=disc").json()["masks"]}
    _accepted(archive, keys[2], "ben", 7)
    order = {"structure": "disc", "name": "disc@ben", "seen": seen["disc@ben"]}
    refused = client.put(f"{url}/final", json=order)
    assert refused.status_code == 409 and "look at it again" in refused.json()["detail"]
    assert {one["name"]: one["final"] for one in client.get(f"{url}/agreement?structure=disc").json()["masks"]}["disc"]
    assert archive.case(keys[2]).load_masks["disc"]()[10, 10], "ann's"
    seen = {one["name"]: one["version"] for one in client.get(f"{url}/agreement?structure=disc").json()["masks"]}
    assert client.put(f"{url}/final", json={**order, "seen": seen["disc@ben"]}).status_code == 200
    assert _rows(archive, keys[2])["disc"] == 7


def test_mask_that_was_imported_is_kept_too(caller, archive, keys):
    before = archive.case(keys[0]).load_masks["disc"]()
    archive.add_masks(keys[0], archive.case(keys[0]).image, {"disc@ben": ~before}, origin={"user": "ben"})
    caller("admin", "root").put(f"/api/v1/cases/{keys[0]}/final", json={"structure": "disc", "name": "disc@ben"})
    np.testing.assert_array_equal(archive.case(keys[0]).load_masks["disc@imported"](), before)


def test_what_there_is_no_agreement_on(caller, archive, keys):
    client = caller("admin", "root")
    assert client.get(f"/api/v1/cases/{keys[2]}/agreement?structure=disc").status_code == 404
    assert client.get(f"/api/v1/cases/{keys[2]}/agreement").status_code == 422
    for name in ("disc@nobody", "other"):
        answer = client.put(f"/api/v1/cases/{keys[0]}/final", json={"structure": "disc", "name": name})
        assert answer.status_code == 404


def test_similar_cases(caller, app, archive, keys, work):
    waiting = caller("reader").get(f"/api/v1/cases/{keys[0]}/similar")
    assert waiting.status_code == 200 and "5 images have no vector" in waiting.headers["x-casewise-note"]
    assert all(one["latent"] is None for one in waiting.json())
    assert work() == {"done": 1}, "the job that gives them vectors"
    answer = caller("reader").get(f"/api/v1/cases/{keys[0]}/similar?k=3")
    found = answer.json()
    assert "x-casewise-note" not in answer.headers
    assert len(found) == 3 and keys[0] not in {one["key"] for one in found}
    assert [one["score"] for one in found] == sorted((one["score"] for one in found), reverse=True)
    own = archive.similar(archive.case(keys[0]).image, k=3, encoder=encoder("cpu"))
    assert [one["key"] for one in found] == [one.key for one in own], "as the library finds them"
    np.testing.assert_allclose([one["score"] for one in found], [one.score for one in own], atol=1e-4)
    masked = next(one for one in found if one["key"] == keys[1])
    assert masked["structures"] == ["disc"] and masked["name"] == "film-1.png"
    assert caller("reader").get(f"/api/v1/cases/{keys[0]}/similar?k=1000").status_code == 422


def test_new_image_is_left_out_until_it_has_a_vector(caller, app, archive, keys, work, tmp_path):
    archive.embed(encoder("cpu"))
    new = archive.add(write(tmp_path / "new.png", Image(picture(70)[None])), category="film")
    answer = caller("reader").get(f"/api/v1/cases/{keys[0]}/similar?k=2")
    assert new not in {one["key"] for one in answer.json()} and "1 image has" in answer.headers["x-casewise-note"]
    assert [job.kind for job in app.state.services.jobs.list()] == ["embed"]


def _accepted(archive, key, user, rows):
    """What a person accepts: the first ``rows`` rows."""
    mask = np.arange(48)[:, None] < np.full((1, 48), rows)
    archive.add_masks(
        key, archive.case(key).image, {"disc": mask}, origin={"how": "interactive", "user": user}, names=names_for(user)
    )


def _rows(archive, key):
    """Name → how many rows the mask has."""
    return {name: int(load().any(axis=1).sum()) for name, load in archive.case(key).load_masks.items()}


def _own(archive, key, user):
    """(rows of the mask that the person begins from on the page, of the one that their MONAI Label client gets)"""
    sent = masks_of(archive, key, archive.case(key).image, user)
    return own_mask(archive, key, user, "disc").any(axis=1).sum(), sent["disc"].any(axis=1).sum()


def test_whoevers_mask_was_chosen_goes_on_from_the_newest_and_keeps_it(caller, archive, keys):
    key, client = keys[2], caller("admin", "root")
    _accepted(archive, key, "ann", 2)
    _accepted(archive, key, "ben", 4)
    for rows, user in ((4, "ben"), (2, "ann")):
        assert _own(archive, key, user) == (rows, rows)
    client.put(f"/api/v1/cases/{key}/final", json={"structure": "disc", "name": "disc@ben"})
    assert _rows(archive, key) == {"disc@ben": 4, "disc": 4, "disc@ann": 2}
    _accepted(archive, key, "ben", 5)
    assert _own(archive, key, "ben") == (5, 5) and _own(archive, key, "ann") == (2, 2)
    assert _rows(archive, key) == {"disc": 5, "disc@ben": 5, "disc@ann": 2}, "no earlier state of his mask is left"
    client.put(f"/api/v1/cases/{key}/final", json={"structure": "disc", "name": "disc@ann"})
    assert _rows(archive, key) == {"disc": 2, "disc@ben": 5, "disc@ann": 2}
    assert _own(archive, key, "ben") == (5, 5)
    assert all("chosen_by" not in label["origin"] for label in archive.labels(key) if label["name"] == "disc@ben")


def test_an_earlier_state_of_the_mask_that_counts_takes_the_place_of_none(caller, archive, keys):
    """As archives hold it in which a person corrected a mask after it was chosen, before both names were written."""
    key, client, image = keys[2], caller("admin", "root"), archive.case(keys[2]).image
    for name, rows in (("disc@ben", 4), ("disc@ann", 2), ("disc", 5)):
        mask = np.arange(48)[:, None] < np.full((1, 48), rows)
        archive.add_masks(key, image, {name: mask}, origin={"user": name.rpartition("@")[2] if "@" in name else "ben"})
    assert _own(archive, key, "ben") == (5, 5)
    client.put(f"/api/v1/cases/{key}/final", json={"structure": "disc", "name": "disc@ben"})
    assert _rows(archive, key) == {"disc": 4, "disc@ben": 5, "disc@ann": 2}
    assert _own(archive, key, "ben") == (5, 5), "the mask that he drew last"
    client.put(f"/api/v1/cases/{key}/final", json={"structure": "disc", "name": "disc@ann"})
    assert _rows(archive, key) == {"disc": 2, "disc@ben": 5, "disc@ann": 2}


def test_what_is_accepted_while_another_mask_is_chosen_is_kept(caller, archive, keys, monkeypatch):
    key, client = keys[2], caller("admin", "root")
    _accepted(archive, key, "ann", 2)
    _accepted(archive, key, "ben", 4)
    writing, accepts = archive.add_masks, iter([3, 6])

    def meanwhile(*given, **more):
        """Ann accepts between what ``choose`` reads and what it writes, twice."""
        rows = next(accepts, None)
        if rows is not None:
            mask = np.arange(48)[:, None] < np.full((1, 48), rows)
            writing(key, given[1], {"disc": mask}, origin={"user": "ann"}, names=names_for("ann"))
        return writing(*given, **more)

    monkeypatch.setattr(archive, "add_masks", meanwhile)
    chosen = client.put(f"/api/v1/cases/{key}/final", json={"structure": "disc", "name": "disc@ben"})
    assert chosen.status_code == 200 and next(accepts, None) is None
    assert _rows(archive, key) == {"disc": 4, "disc@ben": 4, "disc@ann": 6}
