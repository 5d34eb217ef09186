"""What of a map counts as lesions: chosen on the maps of examinations that the network was not trained on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from casewise.case import Case
from casewise.errors import CasewiseError
from casewise.image import Box, Image
from casewise.lesions.prediction import predict, sequences_of
from casewise.models.model import Model
from casewise.models.tasks.lesions import Brightness, Rule
from casewise.models.tasks.settings import with_settings

LEAST_ML = 0.05  # a lesion that counts, and a false piece that does
COVERED = 0.1  # of a lesion's voxels that have to be in the mask for it to be found
Cut = tuple[Brightness | None, float]
_BRIGHT = "FLAIR"  # the sequence on which lesions are brighter than all else
PLAIN: tuple[Cut, ...] = tuple((None, threshold) for threshold in (0.3, 0.5, 0.7))
CUTS: tuple[Cut, ...] = (
    *PLAIN,
    *((Brightness(_BRIGHT, trust, 2.0, level), 0.5) for trust, level in ((0.1, 1.0), (0.2, 1.0))),
)
_PEAKS, _MEANS, _LEAST = (0.0, 0.95, 0.98), (0.0, 0.1, 0.3, 0.5), (0.05, 0.1, 0.2)
_TOUCHING = np.ones((3, 3, 3))
FEWEST, _MOST = 3, 12  # volumes that a choice is made on
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Choice:
    """How a map becomes a mask."""

    brightness: Brightness | None = None
    rule: Rule = field(default_factory=Rule)

    @property
    def cut(self) -> Cut:
        return self.brightness, self.rule.threshold

    def given_to(self, model: Model) -> Model:
        """The model with this in the settings of its network."""
        chosen: dict[str, object] = {"rule": self.rule}
        if self.brightness is not None:
            chosen["brightness"] = self.brightness
        return replace(model, spec=with_settings(model.spec, chosen))


@dataclass(frozen=True, eq=False)
class Pieces:
    """The connected pieces of a map at one cut. volumes, peaks, means, hits : of each, ml, highest value, mean probability of the
    network, voxels in a lesion.

    lesions : voxels of each lesion that counts. covered : (pieces, lesions) voxels. voxels : of each piece; truth : of all lesions.
    """

    voxels: Floats
    volumes: Floats
    peaks: Floats
    means: Floats
    hits: Floats
    lesions: Floats
    covered: Floats
    truth: int

    def scored(self, rule: Rule) -> dict[str, float]:
        """Of the pieces that the rule keeps: ``dice``, ``lesions``, those ``found`` (a tenth of their voxels or more), ``false``
        pieces of 0.05 ml or more that touch no lesion, and ``f1`` of lesions and pieces.
        """
        kept = (self.peaks >= rule.peak) & (self.means >= rule.mean) & (self.volumes >= rule.least_ml)
        drawn, hits = float(self.voxels[kept].sum()), float(self.hits[kept].sum())
        found = int((self.covered[kept].sum(axis=0) >= COVERED * self.lesions).sum())
        counted = kept & (self.volumes >= LEAST_ML)
        false = int((counted & (self.hits == 0)).sum())
        right = found / max(len(self.lesions), 1)
        precision = 1 - false / max(int(counted.sum()), 1)
        return {
            "dice": 2 * hits / max(drawn + self.truth, 1),
            "lesions": len(self.lesions),
            "found": found,
            "false": false,
            "f1": 2 * right * precision / max(right + precision, 1e-9),
        }


def pieces(
    probabilities: npt.NDArray[np.float32], truth: npt.NDArray[np.bool_], image: Image, cuts: Iterable[Cut] = CUTS
) -> dict[Cut, Pieces]:
    """The pieces of a network's map (x, y, z) at each cut. image : (1, x, y, z), the sequence of which the brightness counts,
    normalised.
    """
    voxel_ml = abs(float(np.linalg.det(image.affine[:3, :3]))) / 1000
    used = (image.array[0] > image.array[0].min()) | truth
    window = (Box.around(used) or Box.whole(used.shape)).slices
    probabilities, truth, values = probabilities[window], truth[window], image.array[0][window]
    numbered, count = ndimage.label(truth, _TOUCHING)
    sizes = np.bincount(numbered.ravel(), minlength=count + 1).astype(float)
    large = np.flatnonzero(sizes[1:] * voxel_ml >= LEAST_ML) + 1
    made = {}
    for brightness, threshold in cuts:
        drawn = probabilities if brightness is None else brightness.applied(probabilities, values, image.spacing)
        own, number = ndimage.label(drawn >= threshold, _TOUCHING)
        voxels = np.bincount(own.ravel(), minlength=number + 1).astype(float)[1:]
        peaks = np.zeros(number + 1)
        np.maximum.at(peaks, own[own > 0], drawn[own > 0])
        means = np.bincount(own[own > 0], probabilities[own > 0], minlength=number + 1)[1:] / np.maximum(voxels, 1)
        both = (own > 0) & (numbered > 0)
        pairs = own[both].astype(np.int64) * (count + 1) + numbered[both]
        covered = np.bincount(pairs, minlength=(number + 1) * (count + 1)).reshape(number + 1, count + 1).astype(float)
        hits, inside = covered[1:, 1:].sum(axis=1), int(sizes[1:].sum())
        made[brightness, threshold] = Pieces(
            voxels, voxels * voxel_ml, peaks[1:], means, hits, sizes[large], covered[1:, large], inside
        )
    return made


def chosen(patients: Sequence[Mapping[Cut, Pieces]]) -> Choice:
    """That of the highest mean of Dice and lesion-wise F1 over the patients."""
    choices = [
        Choice(cut[0], Rule(cut[1], max(peak, cut[1]), mean, least))
        for cut, peak, mean, least in product(patients[0], _PEAKS, _MEANS, _LEAST)
    ]

    def merit(choice: Choice) -> float:
        rows = [own[choice.cut].scored(choice.rule) for own in patients]
        return float(np.mean([row["dice"] + row["f1"] for row in rows]))

    return max(choices, key=merit)


def fitted(model: Model, examinations: Sequence[Case]) -> Model:
    """``model`` with what is best on examinations that it was not trained on; as it is where there are fewer than three volumes.

    An examination that cannot be read is left out.
    """
    names = sequences_of(model)
    bright = names.index(_BRIGHT) if _BRIGHT in names else None
    tables: list[dict[Cut, Pieces]] = []
    for examination in examinations:
        try:
            image, masks = examination.loaded(names)
            mask = masks.union()
            if image.spatial_dims != 3 or not mask.any() or len(tables) == _MOST:
                continue
            found = predict(model, image, each=False)
        except CasewiseError:
            continue
        usable = bright is not None and _BRIGHT in found.sequences
        channel = image.with_array(image.array[[bright if usable and bright is not None else 0]])
        tables.append(pieces(found.map, mask > 0, channel, CUTS if usable else PLAIN))
    if len(tables) < FEWEST:
        return model
    shared = [cut for cut in CUTS if all(cut in own for own in tables)]
    return chosen([{cut: own[cut] for cut in shared} for own in tables]).given_to(model)
