"""``casewise regions``: lungs, heart and clavicles of frontal chest radiographs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from casewise.cli.common import answering, check_output_folder, say
from casewise.cli.options import DeviceOption, ForceOption, ImagesArgument, JsonOption, SeedOption, option
from casewise.errors import CasewiseError
from casewise.files import claim, kept_beside, protecting, remove_left_over

if TYPE_CHECKING:
    from casewise.chest import Regions
    from casewise.image import Image


def regions(
    images: ImagesArgument,
    output: Annotated[
        Path, option("--output", "-o", metavar="DIR", help="Folder for the masks, one file a region.", default=True)
    ] = Path("casewise-output"),
    force: ForceOption = False,
    as_json: JsonOption = False,
    device: DeviceOption = "auto",
    seed: SeedOption = 0,
) -> None:
    """Outline the lungs, the heart, the lung behind it and the clavicles in frontal chest radiographs.

    Each mask is written on its image's own grid, in the image's own kind of file. Left is the patient's left. What is no frontal
    chest radiograph is refused with the reason; of an inverted or rotated one, or where a lung is missing, a note says so.

    [bold]Examples[/bold]

      casewise regions chest.dcm
      casewise regions ward/*.png --output regions --json

    Read on in docs/how-to/regions.md.
    """
    with answering(as_json) as answer, protecting(images, force, "regions"):
        import casewise
        from casewise.chest import regions as outline
        from casewise.device import resolve_device
        from casewise.formats.dicom.write_segmentation import SUFFIX, segmentation_of
        from casewise.pipeline.writing import FileNames

        check_output_folder(output)
        where = resolve_device(device)
        documents: list[dict[str, object]] = []
        lines: list[str] = []
        names = FileNames()
        for number, path in enumerate(images, start=1):
            try:
                image = casewise.read(path)
                found = outline(image, where)
                name = names.next(path)
                files = _written(found, image, output, name)
            except CasewiseError as error:
                answer.failed(path, error)
            else:
                segmentation, without = segmentation_of(output / f"{name}{SUFFIX}", found.masks, image)
                if kept := kept_beside(remove_left_over(_others(output, name, {*files.values(), segmentation}))):
                    say(f"{path}: {kept}")
                documents.append({**_document(path, found, files), "segmentation": segmentation})
                lines += _lines(path, found, files)
                lines += [f"  DICOM segmentation: {segmentation}"] if segmentation else [f"  note: {without}"] if without else []
            answer.progress("Outlining", number, len(images), path.name)
        answer.give(documents, *lines)


def _written(found: Regions, image: Image, output: Path, name: str) -> dict[str, Path]:
    from casewise.formats import mask_suffix, write_mask

    suffix = mask_suffix(image)
    files = {region: output / f"{name}-{region}{suffix}" for region in found.masks}
    for file in files.values():
        claim(file)  # all of them, before the first is replaced
    return {region: write_mask(files[region], mask, image) for region, mask in found.masks.items()}


def _others(output: Path, name: str, written: set[Path | None]) -> list[Path]:
    """Every file that the regions of another image of this name may have, less those that were ``written``."""
    from casewise.chest.region import NAMES, UNSIDED
    from casewise.formats.dicom.write_segmentation import SUFFIX
    from casewise.formats.writing import MASK_SUFFIXES

    masks = [output / f"{name}-{region}{suffix}" for region in (*NAMES, *UNSIDED.values()) for suffix in MASK_SUFFIXES]
    return [path for path in (*masks, output / f"{name}{SUFFIX}") if path not in written]


def _document(path: Path, found: Regions, files: dict[str, Path]) -> dict[str, object]:
    return {
        "image": path,
        "regions": [
            {"name": name, "mask": files[name], "box": region.box.to_json(), "probability": region.probability}
            for name, region in found.found.items()
        ],
        "remarks": [remark.to_json() for remark in found.remarks],
    }


def _lines(path: Path, found: Regions, files: dict[str, Path]) -> list[str]:
    found_in = [f"  {name.replace('_', ' ')}: {files[name]}" for name in found.found]
    return [f"{path}:", *found_in, *(f"  note: {remark.sentence}" for remark in found.remarks)]
