"""The regions of a chest radiograph, which several applications start from."""

from __future__ import annotations

from casewise.applications.sharing import shared
from casewise.chest import Regions, regions
from casewise.chest.region_files import read_regions, write_regions
from casewise.errors import CasewiseError
from casewise.image import Image

REGIONS = "regions"


def chest_regions(image: Image, device: str) -> Regions:
    """As :func:`casewise.chest.regions`, but outlined once for all the applications that see the image in one run."""

    def outlined() -> Regions | CasewiseError:
        try:
            return regions(image, device)
        except CasewiseError as error:
            return error

    found = shared(REGIONS, outlined, write_regions, read_regions)
    if isinstance(found, CasewiseError):
        raise found
    return found
