"""``casewise train irregularities``: a detector of what a user marked by boxes or masks, in segments at native resolution."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

from casewise.cli.common import answering, say
from casewise.cli.options import ArchiveArgument, DeviceOption, JsonOption, SeedOption, SitesOption, option
from casewise.cli.train_job import KEPT, Job, OutputOption, measure_lines, say_left_out

if TYPE_CHECKING:
    from collections.abc import Sequence

    from casewise.irregularities.from_archive import Labelled
    from casewise.irregularities.scenes import Look, Scale

CHEST = "chest"
_STRUCTURE = "What to detect: the name of boxes or masks, or a name for the union of several."
_REGION = "Look in this mask of the archive; chest: lungs and heart, found by casewise; body: all but the background."
_BY_ITSELF = "chest where most pictures are frontal chest radiographs, else body"
_NORMAL = "A category whose images have no irregularity, though nothing is marked in them; may be repeated."
_BRANCH = "native: segments at full resolution; reduced: the whole image at a quarter; both."


def irregularities(
    archive: ArchiveArgument,
    output: OutputOption,
    structure: Annotated[str, option("--structure", metavar="NAME[=PART+…]", help=_STRUCTURE)],
    region: Annotated[list[str] | None, option("--region", metavar="NAME", help=_REGION, default=_BY_ITSELF)] = None,
    normal: Annotated[list[str] | None, option("--normal", metavar="CATEGORY", help=_NORMAL, default="normal")] = None,
    branch: Annotated[Literal["both", "native", "reduced"], option("--branch", help=_BRANCH, default=True)] = "both",
    steps: Annotated[
        int | None, option("--steps", metavar="N", help="Optimiser steps of each member.", default="600", min=1)
    ] = None,
    members: Annotated[
        int, option("--members", metavar="N", help="Heads of each part that are trained and averaged.", default=True, min=1, max=8)
    ] = 2,
    site: SitesOption = None,
    as_json: JsonOption = False,
    device: DeviceOption = "auto",
    seed: SeedOption = 0,
) -> None:
    """Train a detector of irregularities that are marked by boxes or masks, in pictures or volumes of any body region.

    Regions are cut into overlapping segments at the image's own resolution; each irregularity lies whole in one of them and partly
    in an overlap. A pretrained encoder sees the segments, and the whole image reduced; small heads are trained on what it sees, so
    that a few dozen examples are enough. About a seventh of the subjects are set aside: the thresholds for reporting are
    chosen on them, and how many irregularities are found at how many false marks is measured on them.

    [bold]Examples[/bold]

      casewise train irregularities my-archive --structure nodule --output nodule-detector
      casewise train irregularities hands --structure fracture --region body -o fracture-detector
      casewise train irregularities ct --structure lesion=tumour+cyst --region liver -o liver-lesions
      casewise analyze new.png --model fracture-detector

    Read on in docs/how-to/train-a-model.md.
    """
    with answering(as_json, KEPT) as answer:
        from casewise.case import Structure
        from casewise.irregularities.from_archive import NORMAL, labelled
        from casewise.irregularities.learning import Plan, train_irregularities
        from casewise.irregularities.training import SETTINGS
        from casewise.training.from_archive import save_registered
        from casewise.training.split import split

        job = Job(archive, output, None, site or [], steps, device, seed)
        wanted = Structure.parse(structure)
        cases = job.cases()
        regions = _regions(region, cases)
        own = [name for name in regions if name != CHEST]
        left_out: list[str] = []
        found = labelled(
            cases,
            wanted,
            normal or NORMAL,
            own,
            lambda done, total: answer.progress("Reading", done, total),
            left_out.append,
        )
        say_left_out(left_out)
        scale, look = _look(regions, found, job.settings().device)
        by_key = {one.case.key: one for one in found}
        training, validation = ([by_key[case.key] for case in part] for part in split([one.case for one in found], seed=seed))
        if not validation:
            say("Fewer than four subjects: none is set aside, nothing is measured, and marks are reported from 0.5 on.")
        settings = replace(SETTINGS, seed=seed, device=job.settings().device, steps=steps or SETTINGS.steps)
        kept = output.parent / f".{output.name}.training"
        model = train_irregularities(
            training,
            output.name,
            wanted.name,
            look,
            scale,
            Plan(branch, members, "lungs" if regions == (CHEST,) else "region", tuple(own), settings),
            validation=validation,
            kept=kept,
            progress=answer.steps("Training"),
            reading=lambda done, total: answer.progress("Cutting windows", done, total),
            failed=lambda sentence: answer.failed(archive, sentence),
        )
        if warning := save_registered(model, output, archive):
            say(warning)
        shutil.rmtree(kept, ignore_errors=True)
        measures = dict(model.lineage.measures)
        network = model.spec.network
        reported = {name: network[name] for name in ("film_from", "mark_from")}
        document = {"model": output, "regions": list(regions) or ["body"], "measures": measures, "thresholds": reported}
        count = sum(len(one.sizes) for one in found)
        answer.give(
            document,
            f"Model: {output}, from {len(training)} images, {len(validation)} set aside, with {count} irregularities in all",
            *measure_lines(measures),
        )


def _regions(named: Sequence[str] | None, cases: Sequence) -> tuple[str, ...]:  # type: ignore[type-arg]
    """Names of masks; ``("chest",)``, or none for the body."""
    from casewise.errors import UsageError

    if named:
        names = tuple(dict.fromkeys(named))
        if len(names) > 1 and {CHEST, "body"} & set(names):
            raise UsageError(f"--region {CHEST} and --region body stand alone; got {', '.join(names)}.")
        if names in ((CHEST,), ("body",)):
            return () if names == ("body",) else names
        known = sorted({mask for case in cases for mask in case.load_masks})
        for name in names:
            if not any(name in case.load_masks for case in cases):
                msg = f"The archive has no mask of the region {name!r}; it has masks of {', '.join(known) or 'nothing'}."
                raise UsageError(msg)
        return names
    return (CHEST,) if _mostly_chests(cases) else ()


def _mostly_chests(cases: Sequence) -> bool:  # type: ignore[type-arg]
    """Whether more than half of a few pictures are frontal chest radiographs, by the shipped router."""
    from casewise.errors import CasewiseError
    from casewise.models import shipped
    from casewise.routing.router import Router

    if "router" not in shipped.names():
        return False
    router, chests, asked = Router.load(), 0, 0
    for case in cases[:: max(1, len(cases) // 7)][:7]:
        try:
            image = case.image
            if image.spatial_dims == 2:
                chests += router.route(image, device="cpu").category == "chest-xray"
            asked += 1
        except CasewiseError:
            continue
    return chests > asked / 2


def _look(regions: Sequence[str], found: Sequence[Labelled], device: str) -> tuple[Scale, Look]:
    from casewise.chest import regions as chest_regions
    from casewise.chest.look import ChestLook, chest_scale
    from casewise.irregularities.scenes import RegionLook, Scale

    sizes = [size for one in found for size in one.sizes]
    if tuple(regions) == (CHEST,):
        scale = chest_scale(sizes, [(one.spacing, one.edge) for one in found for _ in one.sizes])
        return scale, ChestLook(scale, lambda image: chest_regions(image, device))
    scale = Scale.of(sizes, [one.spacing for one in found for _ in one.sizes])
    return scale, RegionLook(tuple(regions), scale)
