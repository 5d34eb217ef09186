"""The experiments behind ``similar_cases.py``: one unit is one task with one site or group taken as the new one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from casewise.adaptation.label_fusion import FusionSettings, fuse_labels
from casewise.adaptation.refinement import REFINEMENT as REFINE
from casewise.adaptation.refinement import Plan, evaluated, part, refine_on
from casewise.case import Case, Structure
from casewise.models import Model, Prediction, blend
from casewise.models.averaging import between
from casewise.models.tasks import Classification
from casewise.training import Input, Settings, dice, fit, train_classifier, train_segmenter
from casewise.training.samples import samples_of
from experiments import cases as _cases
from experiments import store

K = 8
GROWN = (5, 10, 20)
SEEDS = (0, 1)
TARGETS = {
    "lungs": "lungs=lung+left_lung+right_lung",
    "mixed": "target=lung+left_lung+right_lung+left_ventricle+hippocampus+lesion",
}
TESTS = {"lungs": 20, "mixed": 16, "tuberculosis": 36}  # queries a site or group
STEPS = {"lungs": 800, "mixed": 1000, "tuberculosis": 600}
UNITS = (
    *(("lungs", site) for site in _cases.CHEST),
    *(("mixed", group) for group in ("acdc", "hippocampus", "none")),
    *(("tuberculosis", site) for site in ("shenzhen", "montgomery")),
)
PARTS = ("refinements", "votes", "joined")  # votes need labels of pixels, so not tuberculosis


@dataclass(frozen=True)
class Data:
    """known : what the initial model is trained on. pool : cases by which the archive grows. tests, tuning : queries, by patient
    apart from all others and from each other; settings are chosen on ``tuning`` alone."""

    known: list[Case]
    pool: list[Case]
    tests: list[Case]
    tuning: list[Case]


def load(task: str, new: str, tests: int) -> Data:
    groups = {site: _cases.chest(site) for site in (_cases.CHEST if task != "tuberculosis" else _cases.CHEST[1:])}
    if task == "mixed":
        groups |= {"acdc": _cases.cardiac(), "hippocampus": _cases.hippocampus(), "lesions": _cases.lesions()}
    if new != "none":
        known = [case for name, cases in groups.items() if name != new for case in cases]
        queries, pool, tuning = _parted(groups[new], tests)
        return Data(known, pool, queries, tuning)
    known, queries = [], []
    for name, cases in groups.items():
        if name == "lesions":
            known += cases
            continue
        aside, pool, rest = _parted(cases, max(6, tests // 3))
        known += pool + rest
        queries += aside
    return Data(known, [], queries, [])


def _parted(cases: Sequence[Case], tests: int) -> tuple[list[Case], list[Case], list[Case]]:
    """(tests, pool of 20, the rest), by patient."""
    subjects = sorted({str(case.subject) for case in cases})
    order = np.random.default_rng(11).permutation(len(subjects))
    by_subject = {subject: [case for case in cases if case.subject == subject] for subject in subjects}
    per = max(1, round(len(cases) / len(subjects)))
    first, second = min(tests, len(cases) // 2) // per, max(GROWN) // per
    picked = [by_subject[subjects[number]] for number in order]
    flat = [
        [case for group in part_ for case in group]
        for part_ in (picked[:first], picked[first : first + second], picked[first + second :])
    ]
    return flat[0], flat[1], flat[2]


def grown_pool(pool: Sequence[Case], seed: int) -> list[Case]:
    """The pool in the order by which the archive grows, another for each seed."""
    return sorted(pool, key=lambda case: np.random.default_rng([5, seed, int(case.key[:8], 16)]).random())


class Retrieval:
    """Latent similarity: the model's bottleneck pooled 4×4, minus the archive's mean, cosine."""

    def __init__(self, model: Model, cases: Sequence[Case]) -> None:
        self.cases = list(cases)
        self.encoder = model.encoder("cpu")
        vectors = self.encoder.encode([case.image for case in cases])
        self.mean = vectors.mean(axis=0)
        self.vectors = _unit(vectors - self.mean)

    def query(self, case: Case) -> np.ndarray:
        return _unit(self.encoder.encode([case.image]) - self.mean)[0]

    def ranked(self, vector: np.ndarray, among: Sequence[Case]) -> list[Case]:
        allowed = {id(case) for case in among}
        order = np.argsort(-(self.vectors @ vector))
        return [self.cases[number] for number in order if id(self.cases[number]) in allowed]


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)


class Unit:
    """One task with one new site or group: its initial models, its queries, and their rows in every part of the table."""

    def __init__(self, task: str, new: str, tuning: bool) -> None:
        self.task, self.new = task, new
        self.data = load(task, new, TESTS[task])
        self.queries = self.data.tuning[:12] if tuning else self.data.tests
        self.refined: dict[tuple[str, ...], Model] = {}

    def initial(self, seed: int) -> Model:
        folder = store.WORK / "similar_cases" / f"{self.task}-{self.new}" / f"initial-{seed}"
        return store.model(folder, lambda: self._trained(seed, folder.with_suffix(".checkpoint")))

    def _trained(self, seed: int, checkpoint: Path) -> Model:
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        settings = Settings(steps=STEPS[self.task], batch=8, seed=seed, device="cpu", validate_every=100, patience=4)
        if self.task == "tuberculosis":
            return train_classifier(
                self.data.known, ("normal", "tuberculosis"), "tb", input=Input(), settings=settings, checkpoint=checkpoint
            )
        structures = [Structure.parse(TARGETS[self.task])]
        return train_segmenter(self.data.known, structures, self.task, settings=settings, checkpoint=checkpoint)

    def refinements(self, seed: int) -> list[dict]:
        model, first = self.initial(seed), seed == SEEDS[0]
        others = [self.initial(other) for other in SEEDS if other != seed] if first else []
        settings = _Settings(self, model, seed)
        found = []
        for number, case in enumerate(self.queries):
            rows = list(settings.rows(case, number))
            if first:
                ensemble = model.predict(case.image)
                for count, other in enumerate(others, start=1):
                    ensemble = blend(ensemble, other.predict(case.image), 1 / (count + 1))
                rows.append({"row": "average of the seeds", "archive": "known", "value": value(ensemble, case, model)})
            found.append(self._query(case, seed, rows))
        return found

    def votes(self, seed: int) -> list[dict]:
        """The labels of similar cases, or of random ones, registered to the image and averaged with the initial model's answer. The
        archive holds what that model was trained and validated on, or 20 new cases more.
        """
        archives = {"known": self.data.known}
        if len(self.data.pool) == max(GROWN):
            archives[f"grown by {max(GROWN)}"] = self.data.known + self.data.pool
        return self._over(archives, seed, _votes)

    def joined(self, seed: int) -> list[dict]:
        """What ``casewise analyze`` itself does where the archive has grown, with and without the vote."""
        pool = grown_pool(self.data.pool, seed)
        archives = {f"grown by {size}": self.data.known + pool[:size] for size in GROWN[1:] if len(pool) >= size}
        return self._over(archives, seed, _joined)

    def _over(self, archives: Mapping[str, list[Case]], seed: int, rows: Callable[..., Iterator[dict]]) -> list[dict]:
        model, found = self.initial(seed), []
        for name, archive in archives.items():
            retrieval = Retrieval(model, archive)
            for number, case in enumerate(self.queries):
                made = [{"archive": name} | row for row in rows(model, case, retrieval, seed, number)]
                found.append(self._query(case, seed, made))
        return found

    def _query(self, case: Case, seed: int, rows: Sequence[dict]) -> dict:
        """A query's rows, and what is common to them."""
        about = {"task": self.task, "new": self.new, "query": case.key, "subject": case.subject, "seed": seed, "site": case.site}
        short = [{key: round(one, 5) if isinstance(one, float) else one for key, one in row.items()} for row in rows]
        return about | {"truth": case.category, "rows": short}


def _votes(model: Model, case: Case, retrieval: Retrieval, seed: int, number: int) -> Iterator[dict]:
    archive, rng = retrieval.cases, np.random.default_rng([seed, number, 8])
    began = time.perf_counter()
    ranked = retrieval.ranked(retrieval.query(case), archive)
    yield _vote("vote of similar", model, case, ranked, began)
    yield _vote("vote of random", model, case, [archive[n] for n in rng.permutation(len(archive))], time.perf_counter())


def _vote(name: str, model: Model, case: Case, cases: Sequence[Case], began: float) -> dict:
    start = model.predict(case.image)
    done = fuse_labels(model, case.image, cases)
    answer = done.joined(start)
    seconds = time.perf_counter() - began
    row = {"row": name, "value": value(answer, case, model), "seconds": seconds, "initial": value(start, case, model)}
    row |= {"used": done.used, "agreement": done.agreement, "correlation": done.correlation, "voters": len(done.cases)}
    if done.prediction is not None:
        row["alone"] = value(done.prediction, case, model)
        row["ungated"] = value(blend(start, done.prediction, FusionSettings().weight), case, model)
    return row


def _joined(model: Model, case: Case, retrieval: Retrieval, seed: int, number: int) -> Iterator[dict]:
    began = time.perf_counter()
    ranked = retrieval.ranked(retrieval.query(case), retrieval.cases)
    plan = Plan()
    plan = replace(plan, settings=replace(plan.settings, device="cpu", seed=seed))
    unseen = [other for other in ranked if other.key not in model.trained_on][: plan.k + plan.held_out]
    refinement = refine_on(model, unseen, plan, "similar")
    answer = refinement.model.predict(case.image)
    row = {"share": None, "followed": refinement.share}
    yield {"row": "refined by the rule", "value": value(answer, case, model), "seconds": time.perf_counter() - began, **row}
    ballot = fuse_labels(model, case.image, ranked)
    joined = ballot.joined(answer)
    yield {
        "row": "refined by the rule, with the vote",
        "value": value(joined, case, model),
        "seconds": time.perf_counter() - began,
        "used": ballot.used,
        **row,
    }


class _Settings:
    """The rows of one unit and seed."""

    def __init__(self, unit: Unit, model: Model, seed: int) -> None:
        from casewise.archive.retrieval.clusters import cluster

        self.unit, self.model, self.seed, self.data = unit, model, seed, unit.data
        everything = self.data.known + self.data.pool
        self.retrieval = Retrieval(model, everything)
        self.archives = {"known": self.data.known}
        grown = grown_pool(self.data.pool, seed)
        self.pools = {f"grown by {g}": grown[:g] for g in GROWN if len(grown) >= g}
        self.archives |= {name: self.data.known + pool for name, pool in self.pools.items()}
        self.continued = {
            name: self._continued(cases) for name, cases in self.archives.items() if name != "known" or unit.new == "none"
        }
        self.clusters = {
            name: cluster(self.retrieval.vectors[[self._number(case) for case in cases]], seed=seed)
            for name, cases in self.archives.items()
        }

    def rows(self, case: Case, number: int) -> Iterator[dict]:
        vector = self.retrieval.query(case)
        start = value(self.model.predict(case.image), case, self.model)
        yield {"row": "initial model", "archive": "known", "value": start}
        for name, archive in self.archives.items():
            ranked = self.retrieval.ranked(vector, archive)
            rng = np.random.default_rng([self.seed, number, len(archive)])
            unseen = [other for other in ranked if other.key not in self.model.trained_on]
            yield {"row": "label transfer", "archive": name, "value": transferred(self.model, case, ranked[:5])}
            if name == "known":
                yield from self._refinement("similar", name, case, ranked, gate=True)
            else:
                yield from self._refinement("similar", name, case, unseen, gate=True)
            random_cases = [archive[n] for n in rng.permutation(len(archive))[:K]]
            yield from self._refinement("random", name, case, random_cases)
            if name == f"grown by {max(GROWN)}":
                same = [unseen[n] for n in rng.permutation(len(unseen))[:K]]
                yield from self._refinement("random of the same site", name, case, same)
            if name in self.continued:
                yield {
                    "row": "continued on all",
                    "archive": name,
                    "value": value(self.continued[name].predict(case.image), case, self.model),
                }
            if name in ("known", f"grown by {max(GROWN)}"):
                yield self._subset(name, case, vector, archive)

    def _refinement(self, row: str, name: str, case: Case, ranked: list[Case], gate: bool = False) -> Iterator[dict]:
        began = time.perf_counter()
        held, chosen = part(ranked, Plan(k=K)) if gate else ([], ranked[:K])
        refined = self._refined(chosen)
        half = between(self.model, refined, 0.5)
        seconds = time.perf_counter() - began
        for share, model in ((1.0, refined), (0.5, half)):
            record: dict = {"row": row, "archive": name, "share": share, "seconds": seconds}
            record["value"] = value(model.predict(case.image), case, self.model)
            if gate:
                plan = Plan(settings=replace(REFINE, device="cpu"))
                before, after = evaluated(self.model, held, plan), evaluated(model, held, plan)
                record |= {
                    "unseen": sum(c.key not in self.model.trained_on for c in ranked[: K + 4]),
                    "before": before,
                    "after": after,
                }
            yield record

    def _refined(self, cases: Sequence[Case], steps: int = REFINE.steps) -> Model:
        known = self.unit.refined
        key = (*sorted(case.key for case in cases), str(steps))
        if key not in known:
            ordered = sorted(cases, key=lambda case: case.key)
            known[key] = fit(
                self.model, ordered, settings=replace(REFINE, seed=self.seed, steps=steps, device="cpu"), method="similar"
            )
        return known[key]

    def _continued(self, cases: Sequence[Case]) -> Model:
        return fit(self.model, cases, settings=replace(REFINE, steps=200, seed=self.seed, device="cpu"), method="continued")

    def _subset(self, name: str, case: Case, vector: np.ndarray, archive: list[Case]) -> dict:
        from casewise.archive.retrieval.clusters import nearest

        clusters = self.clusters[name]
        chosen, _ = nearest(vector, clusters.centroids)
        members = [archive[n] for n in np.flatnonzero(clusters.assignment == chosen)]
        model = self._refined(members, steps=60)
        return {"row": "precomputed subset", "archive": name, "value": value(model.predict(case.image), case, self.model)}

    def _number(self, case: Case) -> int:
        return next(n for n, other in enumerate(self.retrieval.cases) if other is case)


def value(prediction: Prediction, case: Case, model: Model) -> float:
    """Dice on the image's own grid, or the probability of tuberculosis."""
    if prediction.probabilities is None:
        return float(prediction.scores["tuberculosis"])
    return dice(prediction.mask > 0, case.label_map(model.spec.structures) > 0)


def transferred(model: Model, case: Case, similar: Sequence[Case]) -> float:
    """The answer of the similar cases' labels alone: their mean mask above one half, or the share of tuberculosis."""
    if isinstance(model.kind, Classification):
        return float(np.mean([other.category == "tuberculosis" for other in similar]))
    middle = [samples_of(other, model.spec, everything=True) for other in similar]
    mean = torch.stack([samples[len(samples) // 2].target.float() for samples in middle]).mean(dim=0)
    parts = model.spec.preparation.parts(case.image)
    answer = torch.stack([1 - mean, mean])
    planes = [piece.restore(answer) for piece in parts]
    mask = model.spec.preparation.assemble(planes, case.image).argmax(axis=0) > 0
    return dice(mask, case.label_map(model.spec.structures) > 0)
