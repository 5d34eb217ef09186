"""Precomputed subsets: clusters of the archive, a model for each, the choice among them (after EP 3 696 821 A1)."""

from __future__ import annotations

import re
import shutil
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import tomli_w

from casewise.adaptation.refinement import REFINEMENT, Plan, evaluated
from casewise.adaptation.sequences import compared
from casewise.adaptation.similar import usable_cases
from casewise.case import Case
from casewise.errors import ArchiveError, CasewiseError
from casewise.image import Image
from casewise.models.model import Model
from casewise.models.shipped import encoder_for, encoder_key_for
from casewise.progress import Progress, silent
from casewise.training.fit import fit
from casewise.training.settings import Settings
from casewise.training.split import split
from casewise.workers import Here, Lost, Make, Workers

if TYPE_CHECKING:
    from casewise.archive import Archive
    from casewise.workers.contract import Do, Item, Outcome

SUBSET = replace(REFINEMENT, steps=60)
_SMALLEST = 4
Vectors = npt.NDArray[np.float32]
Keys = tuple[str, ...]  # of cases
Part = tuple[int, Keys]  # a subset's number, and its members' keys
_AT_ONCE = 32  # images that are read and encoded together


@dataclass(frozen=True)
class Subset:
    """One cluster of an archive and the model for images like its members.

    measures : on members set aside from the refinement, ``before_…`` the parent's and ``after_…`` the refined model's.
    refined : False where the refined model was not better and the parent stands for this subset.
    """

    name: str
    size: int
    model: Path
    refined: bool
    members: tuple[str, ...]
    measures: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        return {"name": self.name, "size": self.size, "model": str(self.model), "refined": self.refined, "measures": self.measures}


@dataclass(frozen=True, eq=False)
class Subsets:
    """parent, encoder : keys of the model that was refined, and of what compared the cases.

    centroids : (n, dimension) float32, unit vectors around ``mean`` (dimension,), in the latent space of ``encoder``.
    """

    parent: str
    encoder: str
    subsets: tuple[Subset, ...]
    centroids: npt.NDArray[np.float32]
    mean: npt.NDArray[np.float32]

    def choose(self, vector: npt.NDArray[np.float32]) -> tuple[Subset, float]:
        """The subset most like an image of latent ``vector`` (dimension,), and its cosine."""
        centred = vector - self.mean
        scores = self.centroids @ (centred / max(float(np.linalg.norm(centred)), 1e-9))
        best = int(np.argmax(scores))
        return self.subsets[best], float(scores[best])


def build(
    archive: Archive,
    model: Model,
    folder: Path | None = None,
    *,
    k: int | None = None,
    settings: Settings = SUBSET,
    workers: Workers | None = None,
    name: str | None = None,
    progress: Progress = silent,
) -> Subsets:
    """Cluster the archive's usable cases in the model's latent space and refine the model for each cluster.

    k : how many clusters; by silhouette among 4–16 when None. folder : where the subsets' models go; inside the archive by default.
    workers : each refines one subset at a time; None: this process. name : by which another process loads the model.
    Goes on where an earlier call was stopped: subsets whose model lies there already are kept.
    """
    from casewise.archive.retrieval.clusters import cluster

    model.check_trainable()
    cases = usable_cases(model, archive)
    if len(cases) < 2 * _SMALLEST:
        msg = (
            f"The archive has {len(cases)} labelled cases for {model.name}, and subsets need {2 * _SMALLEST}; import more of them."
        )
        raise CasewiseError(msg)
    folder = folder or default_folder(archive, model)
    folder.mkdir(parents=True, exist_ok=True)
    where = Where(Path(archive.folder), name or model.name)
    known = {case.key: case for case in cases}
    crew: Workers = Here() if workers is None else workers
    encoding: Make[Keys, Vectors] = _always(partial(_encoded, model, known, settings.device))
    refining: Make[Part, Subset] = _always(partial(_refined, model, known, folder, settings))
    if not isinstance(crew, Here):
        encoding, refining = Encoding(where, settings.device), Refining(where, folder, settings)
    vectors = _vectors(crew, [case.key for case in cases], encoding, progress)
    mean = vectors.mean(axis=0)
    clusters = cluster(_unit(vectors - mean), k=k, seed=settings.seed)
    parts: list[Part] = [(number, ()) for number in range(int(clusters.assignment.max()) + 1)]
    for case, cell in zip(cases, clusters.assignment, strict=True):
        parts[cell] = (parts[cell][0], (*parts[cell][1], case.key))
    made = _made(crew, parts, refining, progress)
    subsets = Subsets(model.key, encoder_key_for(model), tuple(made), _unit(np.asarray(clusters.centroids, np.float32)), mean)
    _write(subsets, folder)
    return subsets


@dataclass(frozen=True)
class Where:
    """Where a process finds cases and model. model : its name, or where it lies."""

    archive: Path
    model: str

    @contextmanager
    def opened(self) -> Iterator[tuple[Model, dict[str, Case]]]:
        """The model, and the cases that it can learn from, by key."""
        from casewise.archive import Archive
        from casewise.models import load

        with Archive.open(self.archive) as archive:
            model = load(self.model, archive=archive)
            yield model, {case.key: case for case in usable_cases(model, archive)}


@dataclass(frozen=True)
class Encoding:
    """Opens what a process needs that encodes cases of an archive."""

    where: Where
    device: str

    @contextmanager
    def __call__(self) -> Iterator[Do[Keys, Vectors]]:
        with self.where.opened() as (model, cases):
            yield partial(_encoded, model, cases, self.device)


@dataclass(frozen=True)
class Refining:
    """Opens what a process needs that refines subsets of an archive."""

    where: Where
    folder: Path
    settings: Settings

    @contextmanager
    def __call__(self) -> Iterator[Do[Part, Subset]]:
        with self.where.opened() as (model, cases):
            yield partial(_refined, model, cases, self.folder, self.settings)


def _always(do: Do[Item, Outcome]) -> Make[Item, Outcome]:
    """What this process needs is at hand."""
    return lambda: nullcontext(do)


def _made(crew: Workers, parts: Sequence[Part], make: Make[Part, Subset], progress: Progress) -> list[Subset]:
    """The subsets in order. Raises CasewiseError where one cannot be refined."""
    made: dict[int, Subset] = {}
    progress("Refining subsets", 0, len(parts))
    with closing(crew.run([[part] for part in parts], make)) as coming:
        for (number, _), subset in coming:
            if isinstance(subset, Lost):
                raise CasewiseError(f"{_name(number)} could not be refined: {subset.reason} The others are kept.")
            made[number] = subset
            progress("Refining subsets", len(made), len(parts))
    return [made[number] for number, _ in parts]


def _refined(model: Model, cases: Mapping[str, Case], folder: Path, settings: Settings, parts: Sequence[Part]) -> Iterator[Subset]:
    for number, keys in parts:
        yield _subset(model, [cases[key] for key in keys], number, folder, settings)


def _vectors(crew: Workers, keys: Sequence[str], make: Make[Keys, Vectors], progress: Progress) -> Vectors:
    """(n, dimension), in the order of ``keys``. Raises CasewiseError where one cannot be encoded."""
    batches = [tuple(keys[first : first + _AT_ONCE]) for first in range(0, len(keys), _AT_ONCE)]
    found: dict[Keys, Vectors] = {}
    progress("Encoding cases", 0, len(keys))
    with closing(crew.run([[batch] for batch in batches], make)) as coming:
        for done, (batch, vectors) in enumerate(coming, start=1):
            if isinstance(vectors, Lost):
                raise CasewiseError(f"Of {len(batch)} cases one or more could not be encoded: {vectors.reason}")
            found[batch] = vectors
            progress("Encoding cases", min(done * _AT_ONCE, len(keys)), len(keys))
    return np.concatenate([found[batch] for batch in batches])


def _encoded(model: Model, cases: Mapping[str, Case], device: str, batches: Sequence[Keys]) -> Iterator[Vectors]:
    """The images are read a few at a time, so that a large archive fits into memory."""
    encoder = encoder_for(model, device)
    for keys in batches:
        yield encoder.encode([compared(model, cases[key].image) for key in keys])


def default_folder(archive: Archive, model: Model) -> Path:
    return Path(archive.folder) / "subsets" / model.key


def of(archive: Archive, model: Model) -> Subsets:
    """Those that were made for the archive and the model. Raises ArchiveError where there are none, or none that fit it."""
    subsets = load(default_folder(archive, model))
    check(subsets, model)
    return subsets


def check(subsets: Subsets, model: Model) -> None:
    """Raises ArchiveError, one sentence, for subsets of another model, or whose vectors are of another encoder than today's."""
    if subsets.parent != model.key:
        msg = f"These subsets were made from another model than {model.name}; make them for it with `casewise subsets`."
        raise ArchiveError(msg)
    if subsets.encoder != encoder_key_for(model):
        msg = (
            f"The subsets of {model.name} were made when another encoder compared images; make them again with `casewise subsets` "
            "(models of subsets that come out the same are kept)."
        )
        raise ArchiveError(msg)


def load(folder: Path) -> Subsets:
    """Raises ArchiveError, one sentence, where no subsets were made or their files are damaged."""
    if not (folder / "subsets.toml").is_file():
        msg = "No subsets were made for this archive and model yet; make them with `casewise subsets ARCHIVE MODEL`."
        raise ArchiveError(msg)
    try:
        document = tomllib.loads((folder / "subsets.toml").read_text(encoding="utf-8"))
        arrays = np.load(folder / "centroids.npz", allow_pickle=False)
        subsets = tuple(_from_toml(entry, folder) for entry in document["subsets"])
        encoder = document.get("encoder", document["parent"])  # not written before casewise's own encoder was another one
        return Subsets(document["parent"], encoder, subsets, arrays["centroids"], arrays["mean"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = f"The subsets in {folder} cannot be read ({error}); delete that folder and make them again."
        raise ArchiveError(msg) from error


def choose(subsets: Subsets, model: Model, image: Image, device: str = "auto") -> tuple[Subset, Model, float]:
    """(subset, its model, cosine) for an image: one encoding and one small file, no training."""
    check(subsets, model)
    subset, score = subsets.choose(encoder_for(model, device).encode([compared(model, image)])[0])
    return subset, Model.load(subset.model) if subset.refined else model, score


def _subset(model: Model, members: Sequence[Case], number: int, folder: Path, settings: Settings) -> Subset:
    name = _name(number)
    keys = tuple(case.key for case in members)
    target = folder / f"{name}-{_fingerprint(keys, settings)}"
    training, held_out = split(members, share=0.25, seed=settings.seed)
    if not held_out:
        training, held_out = list(members[::2]), list(members[1::2])
    if target.exists():
        refined = Model.load(target)
    else:
        refined = fit(model, training, settings=settings, method="subset", name=f"{model.name}+{name}")
        plan = Plan(settings=settings)
        numbers = {f"before_{k}": v for k, v in evaluated(model, held_out, plan).items()}
        numbers |= {f"after_{k}": v for k, v in evaluated(refined, held_out, plan).items()}
        refined = replace(refined, lineage=refined.lineage.measured(**numbers))
        refined.save(target)
    measures = dict(refined.lineage.measures)
    main = "dice" if "after_dice" in measures else "log_likelihood"
    return Subset(name, len(members), target, measures[f"after_{main}"] > measures[f"before_{main}"], keys, measures)


def _name(number: int) -> str:
    return f"subset-{number + 1:02d}"


def _fingerprint(keys: Sequence[str], settings: Settings) -> str:
    from casewise.hashing import combined_key

    return combined_key([*keys, repr(settings)])[:12]


def _write(subsets: Subsets, folder: Path) -> None:
    entries: list[dict[str, Any]] = [
        {
            "name": subset.name,
            "size": subset.size,
            "model": subset.model.name,
            "refined": subset.refined,
            "members": list(subset.members),
            "measures": subset.measures,
        }
        for subset in subsets.subsets
    ]
    with tempfile.TemporaryDirectory(dir=folder) as beside:
        np.savez(Path(beside) / "centroids.npz", centroids=subsets.centroids, mean=subsets.mean)
        document = {"parent": subsets.parent, "encoder": subsets.encoder, "subsets": entries}
        (Path(beside) / "subsets.toml").write_text(tomli_w.dumps(document), encoding="utf-8")
        for name in ("centroids.npz", "subsets.toml"):
            shutil.move(str(Path(beside) / name), folder / name)


def _from_toml(entry: dict[str, Any], folder: Path) -> Subset:
    if not re.fullmatch(r"subset-\d+-[0-9a-f]{12}", entry["model"]):  # never a path out of the folder
        msg = f"{entry['model']!r} is no subset's model"
        raise ValueError(msg)
    model = folder / entry["model"]
    return Subset(
        entry["name"], int(entry["size"]), model, bool(entry["refined"]), tuple(entry["members"]), dict(entry["measures"])
    )


def _unit(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return np.asarray((vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)).astype(np.float32))
