"""Irregularities in any image, by a detector that a user trained with ``casewise train irregularities``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from casewise.applications.declared import ANY, Declared, PythonRun
from casewise.errors import CasewiseError, UsageError
from casewise.finding import ABSENT, FINDING, MEASURE, Finding, SegmentPicture
from casewise.image import Box, Image

if TYPE_CHECKING:
    from casewise.irregularities.box_fusion import Detection
    from casewise.irregularities.planes import Planes
    from casewise.irregularities.scenes import Look, Scene
    from casewise.irregularities.volumes import Marked
    from casewise.models import Model
    from casewise.models.tasks.small_findings import SmallFindingsSettings
    from casewise.segments_map import PlaceMap

MOST = 20  # marks of an image that are reported
SECONDS = 1800.0  # a volume is looked at slice by slice
_TARGET = "casewise.applications.detected:Detected"


class Detected:
    """Implements :class:`casewise.applications.Application` by a detector's folder, loaded at the first image.

    name : the application's. maps : folder where the heat map, the segments' borders and each mark's segment are written; None
    writes none. region_model : folder of a segmenter that outlines the regions that the detector learnt to look in; those of a
    chest radiograph and the body need none. notes : what was seen in the last image that whoever reads its findings must know.
    """

    def __init__(
        self,
        model: str | Path,
        device: str = "auto",
        maps: str | Path | None = None,
        region_model: str | Path | None = None,
        name: str = "detector",
    ) -> None:
        self.name = name
        self._folder, self._device = Path(model), device
        self._maps = None if maps is None else Path(maps)
        self._region_model = None if region_model is None else Path(region_model)
        self.notes: list[str] = []

    def analyze(self, image: Image) -> list[Finding]:
        """``any LABEL`` with the probability of the likeliest mark; then, where that reaches the model's ``film_from``, each mark
        from ``mark_from`` on, at most twenty, the most probable first, with its box, region and segment (``measures["segment"]``,
        from 1; of a volume in slice ``measures["slice"]``, from 1); and, where maps are written, ``segments``.

        A volume is looked at slice by slice, and marks of neighbouring slices that overlap are one. Raises CasewiseError, one
        sentence, for an image in which the detector's regions cannot be found.
        """
        from casewise.irregularities.planes import Planes
        from casewise.irregularities.volumes import through_slices

        planes = Planes(image)
        seen = _Seen(planes, self._maps is not None)
        for scene in self._look.scenes(image, self._masks(image)):
            seen.add(scene, *self._marks(scene))
        if not seen.scenes:
            raise CasewiseError(f"Nothing to look at was found in this image; {self._model.name} looks in {self._where}.")
        self.notes = [seen.sentence(self._label)]
        marked = [] if self._highest(seen) < self._settings.film_from else through_slices(seen.likely(self._settings.mark_from))
        path = None if self._maps is None else seen.written(self._maps / f"{self.name}-map", "heat")
        whole = Finding(self.name, f"any {self._label}", self._highest(seen), map=path, kind=MEASURE if marked else ABSENT)
        findings = [self._finding(one, seen, image, path) for one in marked[:MOST]]
        return [whole, *findings, *self._segments(seen)]

    @cached_property
    def _model(self) -> Model:
        from casewise.models import Model

        return Model.load(self._folder)

    @cached_property
    def _settings(self) -> SmallFindingsSettings:
        return settings_of(self._model)

    @property
    def _label(self) -> str:
        return self._model.labels[0]

    @property
    def _where(self) -> str:
        if self._settings.placing == "lungs":
            return "lungs and heart"
        return ", ".join(self._settings.regions) or "the body"

    @cached_property
    def _look(self) -> Look:
        from casewise.applications.chest_regions import chest_regions
        from casewise.chest.look import ChestLook
        from casewise.irregularities.scenes import RegionLook, Scale

        own = self._settings
        scale = Scale(own.pixel_mm, own.enlarged, own.overlap, own.edges)
        if own.placing == "lungs":
            return ChestLook(scale, lambda image: chest_regions(image, self._device))
        return RegionLook(own.regions, scale)

    def _masks(self, image: Image) -> Mapping[str, npt.NDArray[np.bool_]]:
        """Of the regions that the detector looks in."""
        from casewise.applications.chest_regions import chest_regions
        from casewise.chest.region import NAMES
        from casewise.models import Model

        if not self._settings.regions:
            return {}
        if self._region_model is not None:
            return Model.load(self._region_model).predict(image, self._device).masks()
        if all(name in NAMES for name in self._settings.regions):
            found = chest_regions(image, self._device)
            nothing = np.zeros(image.spatial_shape, bool)
            return {name: found.by_place.get(name, nothing) for name in self._settings.regions}
        msg = (
            f"{self._model.name} looks in {', '.join(self._settings.regions)}, which casewise does not find by itself; declare it "
            "as an application with region_model, the folder of a segmenter that outlines them."
        )
        raise CasewiseError(msg)

    def _marks(self, scene: Scene) -> tuple[list[Detection], list[PlaceMap]]:
        from casewise.device import resolve_device
        from casewise.irregularities.detector import detect, ready

        network = ready(self._model, resolve_device(self._device))
        return detect(network, scene.array, scene.segments, scene.where, edges=self._settings.edges)

    def _highest(self, seen: _Seen) -> float:
        return max((one.probability for several in seen.found.values() for one in several), default=0.0)

    def _finding(self, one: Marked, seen: _Seen, image: Image, path: Path | None) -> Finding:
        scene, best = seen.scenes[one.slice], one.best
        box = seen.planes.box_of(scene.in_plane(_square(best, scene.array.shape)), one.first, one.last)
        measures = {"segment": float(best.segment + 1)}
        if len(seen.planes) > 1:
            measures["slice"] = float(one.slice + 1)
        segment = None if self._maps is None else self._segment(self._maps, best.segment, seen, one.slice, image)
        return Finding(
            self.name,
            self._label,
            best.probability,
            self._public(best.region, image),
            box,
            map=path,
            measures=measures,
            kind=FINDING,
            segment=segment,
        )

    def _segment(self, folder: Path, number: int, seen: _Seen, plane: int, image: Image) -> SegmentPicture:
        """The segment's pixels as the network was given them, but turned as the image lies, and in the image's own pixels."""
        from casewise.segment_files import on_grid, write_segment

        scene = seen.scenes[plane]
        cut = scene.segments
        segment = cut[number]
        pixels = cut.pixels(scene.array[None], segment)[0]
        if scene.turn is not None and scene.turn.inverted:
            pixels = float(scene.array.max()) + float(scene.array.min()) - pixels
        box = seen.planes.box_of(scene.in_plane(segment.box), plane)
        of_slice = f"-slice-{plane + 1:03d}" if len(seen.planes) > 1 else ""
        back = seen.planes.back([scene.back(pixels)])[None]
        path = write_segment(folder, f"{self.name}{of_slice}-segment-{number + 1:02d}", on_grid(back, box.shape), box, image)
        return SegmentPicture(self._public(segment.region, image), box, 1.0, path)

    def _segments(self, seen: _Seen) -> list[Finding]:
        if self._maps is None:
            return []
        mask = seen.written(self._maps / f"{self.name}-segments", "borders")
        count = {"count": float(seen.count)}
        return [Finding(self.name, "segments", region=self._where, mask=mask, measures=count, kind=MEASURE)]

    def _public(self, name: str, image: Image) -> str:
        """A region's name for a person: a lung's side may be unknown."""
        from casewise.applications.chest_regions import chest_regions
        from casewise.chest.region import NAMES

        known = self._settings.placing == "lungs" or (self._region_model is None and name in NAMES)
        return chest_regions(image, self._device).public(name) if known else name


@dataclass(eq=False)
class _Seen:
    """What was looked at of an image: number of a plane → its scene, its marks in the scene's pixels, its heat map, its borders."""

    planes: Planes
    drawn: bool
    scenes: dict[int, Scene] = field(default_factory=dict)
    found: dict[int, list[Detection]] = field(default_factory=dict)
    heat: dict[int, npt.NDArray[np.uint8]] = field(default_factory=dict)
    borders: dict[int, npt.NDArray[np.uint8]] = field(default_factory=dict)
    count: int = 0

    def add(self, scene: Scene, found: Sequence[Detection], maps: Sequence[PlaceMap]) -> None:
        from casewise.applications.irregularities import borders
        from casewise.irregularities.enlarging import nearest
        from casewise.segments_map import in_grey_levels, merged

        cut = scene.segments
        self.scenes[scene.number], self.found[scene.number] = scene, list(found)
        self.count += len(cut)
        if self.drawn:
            grey = in_grey_levels(merged((one.scaled(1 / scene.enlarged) for one in maps), scene.shape))
            self.heat[scene.number] = np.asarray(scene.back(grey), np.uint8)
            self.borders[scene.number] = np.asarray(scene.back(nearest(borders(cut) > 0, scene.shape)), np.uint8)

    def likely(self, mark_from: float) -> dict[int, list[Detection]]:
        return {number: [one for one in several if one.probability >= mark_from] for number, several in self.found.items()}

    def written(self, path: Path, kind: str) -> Path:
        """A file on the image's grid, from the planes that were looked at and 0 elsewhere."""
        from casewise.formats import mask_suffix, write_mask

        image, drawn = self.planes.image, getattr(self, kind)
        planes = [drawn.get(number, np.zeros(self.planes[number].shape, np.uint8)) for number in range(len(self.planes))]
        array = np.ascontiguousarray(self.planes.back(planes)).astype(np.uint8)
        return write_mask(path.with_name(f"{path.name}{mask_suffix(image)}"), array, image)

    def sentence(self, label: str) -> str:
        many = f" of {len(self.scenes)} slices" if len(self.planes) > 1 else ""
        factors = {scene.enlarged for scene in self.scenes.values()}
        how = "at their native resolution" if factors == {1.0} else f"at {max(factors):.2g} times their resolution"
        return f"{label} was looked for in {self.count} segments{many} {how}."


def settings_of(model: Model) -> SmallFindingsSettings:
    """A detector's settings. Raises ModelError for a model of another kind."""
    from casewise.errors import ModelError
    from casewise.models.tasks import SmallFindings

    if not isinstance(model.kind, SmallFindings):
        raise ModelError(f"Model {model.name} is no detector of irregularities; train one with casewise train irregularities.")
    return model.kind.settings


def is_detector(model: Model | None) -> bool:
    """Whether a model detects irregularities."""
    from casewise.models.tasks import SmallFindings

    return model is not None and isinstance(model.kind, SmallFindings)


def declared_for(model: Model, folder: Path) -> Declared:
    """The application of a detector that lies in ``folder``; every image comes to it.

    Raises UsageError for the detector that comes with casewise, which is an application already.
    """
    own = settings_of(model)
    if own.cues:
        raise UsageError(f"{model.name} is what the application irregularities looks with; run that: --application irregularities.")
    slug = re.sub(r"[^a-z0-9_-]+", "-", model.name.casefold()).strip("-_")[:48]
    name = f"{slug if slug[:1].isalpha() else f'detector-{slug}'.rstrip('-')}-{model.key[:6]}"
    settings: Mapping[str, object] = {"model": str(folder), "device": "cpu", "maps": ".", "name": name}
    about = f"Irregularities by the detector {model.name}; its card says how well it did on cases set aside."
    return replace(
        Declared(name, (ANY,), (model.labels[0],), PythonRun(_TARGET), about, settings, SECONDS, origin="casewise", own=True),
        detects=(model.labels[0],),
        regions=own.placing == "lungs" or bool(own.regions),
    )


def _square(one: Detection, shape: Sequence[int]) -> Box:
    """A mark's box within an array of ``shape``."""
    bounds = []
    for place, n in zip((one.row, one.column), shape, strict=True):
        low = min(max(0, round(place - one.edge / 2)), n - 1)
        bounds.append((low, max(low + 1, min(n, round(place + one.edge / 2)))))
    return Box(tuple(low for low, _ in bounds), tuple(high for _, high in bounds))
