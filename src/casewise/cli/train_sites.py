"""``casewise train sites``: from a first site's model to the other sites, and to the one where it is deployed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from casewise.cli.common import answering, check_new_folder, plural, say
from casewise.cli.options import ArchiveArgument, DeviceOption, JsonOption, OnOption, SeedOption, WorkersOption, flag, option
from casewise.cli.train_job import OutputOption, say_left_out

if TYPE_CHECKING:
    from casewise.adaptation.sites import Sites

_KEPT = "The sites that are finished, and the last checkpoint, are kept; run the same command again to go on from there."
_ANNOTATE = 20  # images that are named to be annotated next


_FIRST = "The site that the model comes from."
_LARGEST = "the one that --from was trained on most, else the one with the most labelled cases; never --deployment's"
_STRUCTURE = "What to outline; may be repeated. A segmenter of it is trained on the first site."
_PARENT = "The pretrained model: a segmenter, a classifier, or a lesion network."
_ORDER = "Which of a further site's cases come first, by likeness to the first site."
_ALONE = "Train on each site's cases alone, without those of the earlier sites in between."
_STEPS = "800 on the first, 200, at the deployment site 60"

Order = Literal["similar", "dissimilar", "random"]
Choice = Literal["uncertain", "certain", "random"]


def sites(
    archive: ArchiveArgument,
    output: OutputOption,
    first: Annotated[str | None, option("--first", metavar="SITE", help=_FIRST, default=_LARGEST)] = None,
    deployment: Annotated[
        str | None, option("--deployment", metavar="SITE", help="The site where the model is to work; it comes last.")
    ] = None,
    structure: Annotated[
        list[str] | None,
        option("--structure", metavar="NAME[=PART+…]", help=_STRUCTURE, default="with --from: that model's"),
    ] = None,
    parent: Annotated[str | None, option("--from", metavar="MODEL", help=_PARENT)] = None,
    order: Annotated[Order | None, option("--order", help=_ORDER, default="similar")] = None,
    choose: Annotated[
        Choice | None, option("--choose", help="Which of the deployment site's cases come first.", default="uncertain")
    ] = None,
    annotated: Annotated[
        int | None, option("--annotated", metavar="N", help="Use so many of the deployment site's cases.", default="all", min=1)
    ] = None,
    alone: Annotated[bool, flag("--alone", _ALONE)] = False,
    steps: Annotated[int | None, option("--steps", metavar="N", help="Optimiser steps a site.", default=_STEPS, min=1)] = None,
    size: Annotated[
        int, option("--size", metavar="N", help="Edge of a new model's input in pixels.", default=True, min=16, max=1024)
    ] = 128,
    workers: WorkersOption = None,
    on: OnOption = None,
    as_json: JsonOption = False,
    device: DeviceOption = "auto",
    seed: SeedOption = 0,
) -> None:
    """Take a model from site to site: pretrained on the first, continued on the others, fitted to the one where it is deployed.

    The site most like the first one comes next, and within a site the cases most like the first site's (--order). At the
    deployment site the annotated cases come in the order in which the model is unsure of them (--choose), and images there
    without labels are named in the order in which annotating them would help most. A stage after which the model is worse on its
    own site's held-out cases is undone. A model of `casewise train lesions` goes on with examinations of several sequences.
    Beside the model lies sites.html: the accuracy of each site before and after.

    Each stage starts from the model before it, so training itself runs in this process. What is independent goes to the workers of
    --workers or --on: vectors, registering examinations, measuring the sites, and uncertainties.

    [bold]Examples[/bold]

      casewise train sites my-archive --structure lung --first "Hospital A" --output lungs
      casewise train sites my-archive --from lung-model --deployment "Hospital C" -o lungs-c
      casewise train sites my-archive --from lung-model --deployment C --annotated 8 -o lungs-c8
      casewise train sites my-archive --from lesion-model --deployment "Hospital C" -o lesions-c --workers 8

    Read on in docs/how-to/sites.md.
    """
    with answering(as_json, _KEPT) as answer:
        from casewise.archive import Archive
        from casewise.case import Structure
        from casewise.models import load
        from casewise.pipeline.sites import SiteTraining, site_plan
        from casewise.reporting.sites import write_sites
        from casewise.training.from_archive import save_registered
        from casewise.workers import chosen

        check_new_folder(output)
        plan = site_plan(order=order, choice=choose, annotated=annotated, alone=alone, steps=steps, device=device, seed=seed)
        here = workers is None and on is None
        with chosen(workers, on, gpus=1 if device == "cuda" else 0) as crew, Archive.open(archive) as opened:
            training = SiteTraining(
                opened,
                output.parent / f".{output.name}.sites",
                output.name,
                plan,
                steps=steps,
                size=size,
                progress=answer.progress,
                notify=say_left_out,
                failed=lambda sentence: answer.failed(opened.folder, sentence),
                workers=None if here else crew,
            )
            model = load(parent) if parent else None
            structures = [Structure.parse(text) for text in structure or ()]
            done = training.run(model, structures, first=first, deployment=deployment)
        if warning := save_registered(done.model, output, archive):
            say(warning)
        training.forget()
        report = write_sites(done.to_json(), output / "sites.html", title=output.name)
        document = {"model": output, "measures": dict(done.model.lineage.measures), **done.to_json(), "report": report}
        answer.give(document, f"Model: {output}", *_lines(done), f"Report: {report}")


def _lines(done: Sites) -> list[str]:
    lines = []
    for site in done.likeness:
        before, after = done.before.get(site), done.after.get(site)
        accuracy = (
            "no case held out"
            if before is None or after is None
            else f"{done.measure.replace('dice', 'Dice')} {before:.3f} → {after:.3f}"
        )
        lines.append(f"  {site}: {accuracy}, likeness to {done.first} {done.likeness[site]:.2f}")
    lines += [f"  {stage.site}, {plural(len(stage.cases), 'case')}: {stage.reason}" for stage in done.stages]
    if done.annotate:
        lines.append(f"Annotate next, the model is least sure of them ({plural(len(done.annotate), 'image')} without labels):")
        lines += [f"  {case.name} ({score:.3f})" for case, score in done.annotate[:_ANNOTATE]]
    return lines
