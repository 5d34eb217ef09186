"""``casewise export``: a model for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from casewise.cli.common import answering
from casewise.cli.options import DeviceOption, JsonOption, SeedOption, argument, option

_FORMS = "nnunet (for models that came from nnU-Net), monai (for those that came as a MONAI bundle) or torchscript."


def export(
    model: Annotated[str, argument("MODEL", "The model: its folder, or its name as `casewise models` prints it.")],
    output: Annotated[Path, option("--output", "-o", metavar="PLACE", help="A new file for TorchScript, a folder else.")],
    form: Annotated[str, option("--as", metavar="FORM", help=_FORMS)] = "nnunet",
    as_json: JsonOption = False,
    device: DeviceOption = "auto",
    seed: SeedOption = 0,
) -> None:
    """Write a model as nnU-Net's results, as a MONAI bundle, or as TorchScript.

    nnUNetv2_predict uses the results unchanged, and monai.bundle runs the bundle.

    [bold]Examples[/bold]

      casewise export my-nnunet-2 --output nnUNet_results
      casewise export organs-2 --output totalsegmentator-results
      casewise export spleen-2 --as monai --output bundles/spleen-2
      casewise export heart-model --as torchscript --output heart.ts

    Read on in docs/how-to/refine-an-nnunet.md and docs/how-to/bring-your-own-model.md.
    """
    with answering(as_json) as answer:
        from casewise.models import load
        from casewise.models.export import export as written

        place = written(load(model), form, output)
        answer.give({"model": str(place), "form": form}, f"{place}")
