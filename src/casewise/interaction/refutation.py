"""Whether a person's strokes refute the masks of other images on which a network was refined.

Masks of another structure that were accepted under this one's name lead the network to that structure, and it then hardly follows
strokes: each is obeyed where it was drawn, and the next answer is as before. So every few rounds the refined network and the one it
was refined from are asked what each round says, given the others (leave-one-out). Strokes lie where the refined one was wrong, so
that it foresees few of them in any case; the other one foresees most only where these masks show something else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from casewise.image import Image
from casewise.interaction.predictor import Predictor
from casewise.interaction.state import State, marked
from casewise.interaction.strokes import Strokes

_ROUNDS = 5  # after as many it is asked, and after each further as many
_MORE = 0.6  # by as much of the strokes, three of five, the network as it was must foresee more


def unless_refuted(image: Image, state: State, refined: Predictor, initial: Predictor) -> State:
    """``state``, which ``refined`` answered; or, where its strokes refute that, what ``initial`` answers to the same rounds."""
    rounds = len(state.strokes)
    if rounds == 0 or rounds % _ROUNDS or state.trusted or state.head is None:  # without a head: from a mask that a person saw
        return state
    box = state.region.box
    led = State.begun(image, box, refined.one_view, state.hint, hint=True)
    unled = State.begun(image, box, initial.one_view)
    more = foreseen(unled, state.strokes, initial.one_view) - foreseen(led, state.strokes, refined.one_view)
    if more < _MORE:
        return state
    again = replace(State.begun(image, box, initial), refuted=True)
    for strokes in state.strokes:
        again = again.marked(image, strokes, initial)
    return again


def foreseen(begun: State, rounds: Sequence[Strokes], predictor: Predictor) -> float:
    """0…1: the share of each round's voxels that the network answers rightly by the other rounds, mean over the rounds.

    begun : the state before the first of them.
    """
    shares = []
    for number, strokes in enumerate(rounds):
        maps = begun.maps
        for other in (*rounds[:number], *rounds[number + 1 :]):
            maps = marked(maps, begun.region, other)
        answer = predictor.logits(maps, begun.former()) > 0
        foreground, background = begun.region.marks(strokes.foreground), begun.region.marks(strokes.background)
        right = int((answer & foreground).sum()) + int((~answer & background).sum())
        shares.append(right / max(1, int(foreground.sum()) + int(background.sum())))
    return float(np.mean(shares))
