"""Detectors that are trained on one site or on both, with another's films of other diseases or without."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt
import torch
from sklearn.model_selection import StratifiedKFold

from casewise.chest.diffuse import assessed
from casewise.chest.diffuse.training import STRENGTH, all_balanced, cues_of, fitted, odds_of, together
from casewise.models import Model, shipped
from casewise.models.networks.diffuse import Diffuse
from casewise.models.preparation import Preparation
from casewise.models.spec import Lineage, Spec
from casewise.probability import logistic
from experiments import store
from experiments.tuberculosis.films import OTHER, Film, films, keys, lungs

WORK = store.WORK / "tuberculosis"
CLASSES = ("normal", "tuberculosis")
SPEC = Spec("classification", {"kind": "diffuse"}, Preparation(2, (192, 224)), classes=CLASSES)
PHOTOGRAPHS, RANDOM = "photographs", "random"  # what the encoder's weights come from


def detector(sites: Sequence[str], others: bool = True, encoder: str = PHOTOGRAPHS) -> Model:
    """Trained on the films of ``sites``; others : and on NIH's, of other diseases, whose scale is left out of account."""
    used = [*sites, *([OTHER] if others else [])]
    ill = [np.array([film.ill for film in films(site)]) for site in used]
    own = np.concatenate([np.full(len(here), site in sites) for site, here in zip(used, ill, strict=True)])
    cues = np.concatenate([_cues(site, encoder) for site in used])
    network = together(_encoder(encoder), fitted(cues, np.concatenate(ill), all_balanced(ill), own))
    seen: frozenset[str] = frozenset().union(*(keys(films(site)) for site in used))
    weights = {name: value.clone() for name, value in network.state_dict().items()}
    return Model("casewise-tuberculosis", SPEC, weights, Lineage(trained_on=seen, settings={"strength": STRENGTH}))


def crossed(learnt: str, asked: str) -> list[float]:
    """The probability of each film of ``asked`` by a detector that was trained on ``learnt`` and NIH's films; kept on disk."""
    return kept(detector([learnt]), asked, films(asked))


def kept(model: Model, name: str, asked: Sequence[Film]) -> list[float]:
    """:func:`probabilities`, kept on disk by the model's key and the films' ``name``."""
    return list(store.rows(WORK / f"{name}-{model.key[:12]}.json", lambda: probabilities(model, asked)))


def crossed_by_cues(learnt: str, asked: str, others: bool, encoder: str) -> list[float]:
    """The same of detectors that are compared with it, whose answers are not asked for film by film."""
    network = detector([learnt], others, encoder).network("cpu")
    head = network.head
    assert isinstance(head, torch.nn.Linear)
    return [float(chance) for chance in logistic(odds_of(_cues(asked, encoder), head))]


def probabilities(model: Model, asked: Sequence[Film]) -> list[float]:
    """As the applications report them, by the function that they call."""
    network = model.ready("cpu")
    return [assessed(lungs(film), network).probability for film in asked]


def _encoder(which: str) -> Diffuse:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = Diffuse().eval()
    return network if which == RANDOM else network.pretrained()


@cache
def _cues(site: str, encoder: str) -> npt.NDArray[np.float64]:
    regions = shipped.load("chest_regions").key[:12]
    network = _encoder(encoder)

    def made() -> dict[str, npt.NDArray[np.float64]]:
        return {"cues": np.stack([cues_of(lungs(film), network) for film in films(site)])}

    return store.arrays(WORK / f"cues-{site}-{encoder}-{regions}.npz", made)["cues"]


def within(site: str) -> list[float]:
    """The probability of each film of a site by a detector of the site's other folds and NIH: what the site itself allows."""
    ill, others = (np.array([film.ill for film in films(here)]) for here in (site, OTHER))
    cues, more = _cues(site, PHOTOGRAPHS), _cues(OTHER, PHOTOGRAPHS)
    odds = np.zeros(len(ill))
    for learnt, asked in StratifiedKFold(5, shuffle=True, random_state=0).split(cues, ill):
        own = np.arange(len(learnt) + len(more)) < len(learnt)
        answers = np.concatenate([ill[learnt], others])
        head = fitted(np.concatenate([cues[learnt], more]), answers, all_balanced([ill[learnt], others]), own)
        odds[asked] = odds_of(cues[asked], head)
    return [float(chance) for chance in logistic(odds)]
