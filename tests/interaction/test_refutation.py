"""Strokes that refute the masks of other images on which a network was refined, and strokes that do not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from casewise.archive import Archive
from casewise.errors import UsageError
from casewise.image import Image
from casewise.interaction import InteractiveSegmentation
from casewise.interaction.sets.guidance import Prepared, accept
from casewise.interaction.simulation.user import Hand, stroke
from casewise.models import Model
from casewise.training.metrics import dice

BOX = [(22, 68), (22, 68)]
ROUNDS = 5


@pytest.fixture(scope="module")
def deaf(model) -> Model:
    """As a network is that was refined on masks of another structure: no stroke changes its answer, here that there is nothing."""
    weights = {name: torch.zeros_like(tensor) if "head" in name else tensor for name, tensor in model.weights.items()}
    return replace(model, name="deaf", weights=weights | {"head.answer.bias": torch.tensor([1.0, -1.0])})


@pytest.fixture(scope="module")
def listening(model) -> Model:
    """A refined network that goes by strokes as the initial one does."""
    return Model.initial("listening", model.spec, seed=1)


def begun(model: Model, initial: Model | None, image: Image, guess: np.ndarray) -> InteractiveSegmentation:
    return InteractiveSegmentation(model, image, BOX, mask=guess, hint=True, initial=initial, device="cpu")


def beside(truth: np.ndarray) -> np.ndarray:
    return np.roll(truth, 12, axis=0)


def corrected(session: InteractiveSegmentation, truth: np.ndarray, rounds: int) -> list[np.ndarray]:
    """The masks after each of some rounds, each a stroke where the answer is most wrong."""
    masks = []
    for _ in range(rounds):
        made = stroke(truth, session.mask, Hand(25, 2), session.image.spacing)
        assert made is not None
        line, on = made
        masks.append(session.add_scribbles(line if on else None, None if on else line))
    return masks


def test_a_network_that_does_not_follow_strokes_is_given_up(deaf, model, disc):
    image, truth = disc
    session = begun(deaf, model, image, beside(truth))
    masks = corrected(session, truth, ROUNDS - 1)
    assert not session.refuted and session.answering is deaf
    masks += corrected(session, truth, 1)
    assert session.refuted and session.answering is model and session.model is deaf
    assert dice(masks[-1], truth) > dice(masks[-2], truth) + 0.1
    on, off = session.strokes
    assert masks[-1][tuple(on.T)].all() and not masks[-1][tuple(off.T)].any()

    alone = InteractiveSegmentation(model, image, BOX, device="cpu")
    for one in session._state.strokes:
        alone.mark(one)
    assert (alone.mask == session.mask).all()  # as if the masks of other images had never been there


def test_without_the_initial_network_nothing_is_given_up(deaf, disc):
    image, truth = disc
    session = begun(deaf, None, image, beside(truth))
    corrected(session, truth, ROUNDS)
    assert not session.refuted


@pytest.mark.parametrize("moved", [False, True], ids=["the object's own masks", "masks beside it"])
def test_a_network_that_follows_strokes_is_kept(listening, model, disc, moved):
    image, truth = disc
    session = begun(listening, model, image, beside(truth) if moved else truth)
    for _ in range(2 * ROUNDS):
        made = stroke(truth, session.mask, Hand(9, 1), image.spacing)
        if made is None:
            break
        session.add_scribbles(made[0] if made[1] else None, None if made[1] else made[0])
    assert not session.refuted and session.answering is listening


@pytest.mark.parametrize("back", [1, 2], ids=["that round", "that round and the one before"])
def test_who_takes_a_refutation_back_keeps_the_masks(deaf, model, disc, tmp_path: Path, back: int):
    image, truth = disc
    session = begun(deaf, model, image, beside(truth))
    corrected(session, truth, ROUNDS)
    for _ in range(back):
        session.undo()
    masks = [session.add_scribbles(foreground=[[45, column]]) for column in range(40, 40 + ROUNDS + back)]
    assert session.rounds == 2 * ROUNDS and not session.refuted and session.answering is deaf

    again = InteractiveSegmentation.resume(session.save(tmp_path / "session.npz"), deaf, image, initial=model, device="cpu")
    assert not again.refuted and (again.mask == masks[-1]).all()
    for one in (session, again):
        one.erase([[45, 40 + ROUNDS]])
        one.draw_box([(20, 70), (20, 70)])
        corrected(one, truth, ROUNDS)
        assert not one.refuted


def test_an_undo_before_the_refutation_trusts_nothing(deaf, model, disc):
    image, truth = disc
    session = begun(deaf, model, image, beside(truth))
    corrected(session, truth, ROUNDS - 1)
    session.undo()
    corrected(session, truth, 2)
    assert session.refuted


def test_undo_and_a_new_box(deaf, model, disc):
    image, truth = disc
    session = begun(deaf, model, image, beside(truth))
    masks = corrected(session, truth, ROUNDS)
    assert (session.undo() == masks[-2]).all() and not session.refuted
    assert (session.redo() == masks[-1]).all() and session.refuted
    session.draw_box([(20, 70), (20, 70)])
    assert session.refuted and session.answering is model


def test_a_saved_session_is_refuted_as_it_was(deaf, model, disc, tmp_path: Path):
    image, truth = disc
    session = begun(deaf, model, image, beside(truth))
    masks = corrected(session, truth, ROUNDS)
    path = session.save(tmp_path / "session.npz")
    again = InteractiveSegmentation.resume(path, deaf, image, initial=model, device="cpu")
    assert again.refuted and (again.mask == masks[-1]).all()
    with pytest.raises(UsageError, match="another model"):
        InteractiveSegmentation.resume(path, model, image, initial=model, device="cpu")


def test_an_archive_knows_which_network_answered(deaf, model, disc, tmp_path: Path):
    image, truth = disc
    session = begun(deaf, model, image, beside(truth))
    corrected(session, truth, ROUNDS)
    with Archive.open(tmp_path / "set", create=True) as archive:
        other = archive.case(archive.add(Image(image.array[:, ::-1].copy()), {"disc": truth[::-1].copy()}))
        key = accept(archive, session, "disc", prepared=Prepared(deaf, None, (other,), ""))
        origin = archive.labels(key)[0]["origin"]
    assert origin["model"] == model.key and origin["refined_on"] == []
