"""The interactive networks that are compared, each trained from nothing on the same tasks for the same processor time.

No radiograph is among the images and no lung among the objects, so that the first of them also serves where lungs on radiographs
must be unseen (``interaction_sets.py``).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from casewise.case import Case
from casewise.interaction.simulation.pictures import Habits, SimulatedUser
from casewise.interaction.simulation.volumes import SimulatedUserInVolumes
from casewise.models import Model, Preparation, Spec
from casewise.models.networks.prompts import PROMPTS
from casewise.training import Batches, Settings, fit
from experiments.interactive.network import AS_SEEN, NETWORK, OBJECT
from experiments.interactive.pictures import Tasks, cases_without_masks, organs, plates_of, sclerosis
from experiments.interactive.volumes import GRID, VolumeTasks, blocks, volumes

HABITS = Habits(rounds=6, prior=0.25, grids=AS_SEEN, narrow=0.45, best=0.6)  # of the later stages of the shipped model
TASKS = ((0.15, 0.21, 0.06, 0.48, 0.1), (0.6, 0.65), 0.3)
SECONDS = {2: 600.0, 3: 100.0}
_SIZE = {2: (64, 64), 3: (64, 64, 20)}
_LUNGS = tuple(f"class {n}" for n in range(10, 15))  # of TotalSegmentator's classes
_FILMS = "mednist/Hand"  # radiographs too
_TRIED = 30  # steps that say how many there is time for
_KEPT = 50  # steps after which a training is kept

Make = Callable[["Network"], Batches]


@dataclass(frozen=True, eq=False)
class Network:
    """One network and how it is trained. ``seconds`` : the processor time of its training."""

    name: str
    title: str
    dims: int
    settings: Mapping[str, object]
    batch: int
    rate: float
    seconds: float

    def initial(self, seed: int) -> Model:
        size = GRID if self.dims == 3 else _SIZE[2]
        network = {**self.settings, "prompts": list(PROMPTS)}
        return Model.initial(f"casewise-{self.name}", Spec("segmentation", network, Preparation(self.dims, size), (OBJECT,)), seed)

    def training(self, steps: int, seed: int) -> Settings:
        kept = {"checkpoint_every": _KEPT, "device": "cpu", "mixed": True, "seed": seed}
        return Settings(steps, self.batch, self.rate, augmentation="none", **kept)


NETWORKS = (
    Network("unet_2d", "prompt U-Net", 2, NETWORK, 16, 2.5e-3, SECONDS[2]),
    Network("p_net", "P-Net", 2, {"kind": "p_net", "channels": [64, 64]}, 4, 1e-3, SECONDS[2]),
    Network("unet_3d", "prompt U-Net, plane by plane with its neighbours", 3, NETWORK, 2, 2.5e-3, SECONDS[3]),
    Network("pc_net", "PC-Net, 16 channels", 3, {"kind": "pc_net", "channels": [16, 16]}, 2, 1e-3, SECONDS[3]),
)


@dataclass(frozen=True)
class Trained:
    """A network's model with the steps of its training and the processor seconds that they took."""

    model: Model
    steps: int
    seconds: float


def trained(network: Network, folder: Path, seed: int = 0, make: Make | None = None) -> Trained:
    """The trained network; ``folder`` keeps it, or how far its training came, which then goes on from there."""
    done, record = folder / "model", folder / "training.json"
    if done.exists():
        known = json.loads(record.read_text())
        return Trained(Model.load(done), known["steps"], known["seconds"])
    folder.mkdir(parents=True, exist_ok=True)
    batches = (make or _made)(network)
    model = network.initial(seed)
    known = json.loads(record.read_text()) if record.exists() else {"steps": _affordable(network, batches, seed), "seconds": 0.0}
    record.write_text(json.dumps(known))
    clock = _Clock(record, known)
    settings, checkpoint = network.training(known["steps"], seed), folder / "checkpoint.pt"
    model = fit(model, batches, settings=settings, method="initial", checkpoint=checkpoint, progress=clock)
    model.save(done)
    return Trained(model, known["steps"], json.loads(record.read_text())["seconds"])


def _affordable(network: Network, batches: Batches, seed: int) -> int:
    """Steps that the network's seconds are enough for, by a trial's."""
    ends: list[float] = []
    fit(
        network.initial(seed),
        batches,
        settings=network.training(_TRIED, seed),
        progress=lambda step, total, loss: ends.append(time.process_time()),
    )
    rounds = HABITS.rounds  # the first ones prepare the libraries
    return max(1, round(network.seconds * (len(ends) - rounds) / (ends[-1] - ends[rounds - 1])))


class _Clock:
    """Keeps a training's processor seconds beside its checkpoints."""

    def __init__(self, file: Path, known: dict) -> None:
        self._file, self._known = file, known
        self._seconds, self._began = float(known["seconds"]), time.process_time()

    def __call__(self, step: int, total: int, loss: float) -> None:
        if step % _KEPT == 0 or step == total:
            spent = self._seconds + time.process_time() - self._began
            self._file.write_text(json.dumps(self._known | {"seconds": round(spent, 1)}))


def _made(network: Network) -> Batches:
    if network.dims == 3:
        cases = [_without_lungs(case) for case in volumes()]
        draw = VolumeTasks(blocks(cases))
        return SimulatedUserInVolumes(draw, "networks for volumes", _SIZE[3], prompts=PROMPTS, cases=[case.key for case in cases])
    cases = list(pictures())
    plates = [made for case in cases for made in plates_of(case)]
    keys = [case.key for case in cases]
    return SimulatedUser(Tasks(plates, *TASKS), "networks for pictures", _SIZE[2], HABITS, PROMPTS, keys)


def pictures() -> Iterator[Case]:
    """What the shipped model learns from, without the radiographs and without the lungs of the CT."""
    yield from (_without_lungs(case) for case in organs())
    yield from sclerosis()
    yield from (case for case in cases_without_masks() if not case.name.startswith(_FILMS))


def _without_lungs(case: Case) -> Case:
    return replace(case, load_masks={name: load for name, load in case.load_masks.items() if name not in _LUNGS})
