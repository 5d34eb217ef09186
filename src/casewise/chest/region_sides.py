"""Which lung of a frontal chest radiograph is the patient's left one: by what the file states, by how it lies, by what it shows."""

from __future__ import annotations

from dataclasses import dataclass

from casewise.chest.region import UNSIDED, Remark
from casewise.chest.region_pose import Pose, stated_pose, usual_poses
from casewise.image import Image

_AGREES, _CONTRARY, _BEYOND = 0.4, -0.3, 0.7
_TOGETHER = 1.67  # somewhat more than the deviation of the sum of both scores over films (1.53), on the safe side
_LOOK = "check the film's side marker"


@dataclass(frozen=True)
class Evidence:
    """features, outlines : scores for the sides being as they are usually displayed, of deviation 1 over films; below 0 against."""

    features: float
    outlines: float

    @property
    def score(self) -> float:
        """Both together, again of deviation 1."""
        return (self.features + self.outlines) / _TOGETHER

    @property
    def agrees(self) -> bool:
        """Whether it bears out how pictures usually lie."""
        return self.score >= _AGREES and min(self.features, self.outlines) > _CONTRARY

    @property
    def beyond_doubt(self) -> bool:
        """Whether it decides the sides alone."""
        return self.score >= _BEYOND and min(self.features, self.outlines) > 0

    def reversed(self) -> Evidence:
        """That of the mirrored picture."""
        return Evidence(-self.features, -self.outlines)


@dataclass(frozen=True)
class Sides:
    """pose : brings the picture upright, its left side the patient's right where ``known``, else as far as can be determined.

    stated : whether the file states it. remarks : why the sides are not known, empty where they are.
    """

    pose: Pose
    known: bool
    stated: bool = False
    remarks: tuple[Remark, ...] = ()

    def name(self, region: str) -> str:
        """A region's name for a person, from its name by place."""
        return region if self.known else UNSIDED.get(region, region)


def decided(image: Image, pose: Pose, evidence: Evidence) -> Sides:
    """The sides of a picture that ``pose`` or its mirror image brings upright.

    evidence : of the picture for the patient's right being on its left after ``pose``.

    A file's statement counts unless the picture plainly speaks against it; how pictures usually lie counts where the picture bears
    it out; a picture that lies otherwise must show its sides beyond doubt. A heart on the other side never names a side where the
    picture lies as stated or as usual: it can be a mirrored picture or the patient's own.
    """
    by_file = stated_pose(image)
    if by_file is not None and pose.same_way_up(by_file):
        own = Pose.of(by_file, pose.inverted)
        if _of(evidence, own == pose).reversed().beyond_doubt:
            return Sides(own, known=False, stated=True, remarks=_against("what the file states"))
        return Sides(own, known=True, stated=True)
    usual = next((one for one in usual_poses(image) if pose.same_way_up(one)), None)
    if usual is None or by_file is not None:
        likely = pose if evidence.score >= 0 else pose.facing()
        known = _of(evidence, likely == pose).beyond_doubt
        return Sides(likely, known, remarks=() if known else _silent())
    own = Pose.of(usual, pose.inverted)
    favour = _of(evidence, own == pose)
    if favour.agrees:
        return Sides(own, known=True)
    against = favour.reversed().beyond_doubt
    return Sides(own, known=False, remarks=_against("how such a picture usually lies") if against else _silent())


def _of(evidence: Evidence, same: bool) -> Evidence:
    return evidence if same else evidence.reversed()


def _against(what: str) -> tuple[Remark, ...]:
    # No longer than a note may be: what to do stands at its end.
    sentence = (
        f"By {what}, the heart lies on the patient's right: the picture is mirrored, or the heart is on the other side. "
        f"No side is named; {_LOOK}."
    )
    return (Remark("heart_on_right", sentence), Remark("sides_unknown", "Left and right cannot be distinguished in this picture."))


def _silent() -> tuple[Remark, ...]:
    sentence = (
        "Left and right cannot be determined: the file does not state how the picture lies, and the heart does not show it. "
        f"Lung 1 is on the left of the upright picture; {_LOOK}."
    )
    return (Remark("sides_unknown", sentence),)
