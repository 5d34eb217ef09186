"""Whether an image is of the kind that a shipped model was made for; the application itself refuses any other.

A network answers every image, also one of another part of the body, and often with great certainty. So each shipped model's folder
holds ``intended.safetensors``: features of its own training images by the network ``intended_features``, and the largest distance
from them at which an image is accepted. The distance is the cosine distance to the fifth nearest feature (Sun 2022), the median
over the image's views. How the threshold is set stands in ``recipes/intended.py``, whom it refuses in
``benchmarks/results/intended.md``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from casewise.errors import CasewiseError, ModelError
from casewise.image import Image

if TYPE_CHECKING:
    from casewise.routing.views import View

FILE = "intended.safetensors"
NETWORK = "intended_features"  # a small classifier of kinds of images: it stays the same when the router is trained anew
_FORMAT = "1"
Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Intended:
    """bank : (n, features) float32 of unit length, of the model's training images. threshold : the largest distance accepted.

    what : the images that the model is for, as a sentence says it (``frontal chest radiographs``). network : key of the network
    that the features are of.
    """

    bank: Matrix
    threshold: float
    what: str
    network: str

    @classmethod
    def load(cls, folder: Path) -> Intended | None:
        """That of a model's folder; None where the folder has none, as a user's own model. Raises ModelError for a damaged one."""
        path = folder / FILE
        if not path.is_file():
            return None
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="numpy") as opened:
                about, bank = opened.metadata() or {}, opened.get_tensor("bank").astype(np.float32)
            if about["format"] != _FORMAT or bank.ndim != 2 or not len(bank):
                raise ValueError("it has another format")
            return cls(bank, float(about["threshold"]), about["what"], about["network"])
        except (SafetensorError, OSError, KeyError, ValueError) as error:
            detail = " ".join(str(error).split())[:150]
            msg = f"{path} cannot be read ({detail}); copy the model's folder again from where it was made."
            raise ModelError(msg) from error

    def save(self, folder: Path) -> Path:
        """Write it to a model's folder."""
        from safetensors.numpy import save_file

        about = {"format": _FORMAT, "threshold": f"{self.threshold:.4f}", "what": self.what, "network": self.network}
        save_file({"bank": np.ascontiguousarray(self.bank.astype(np.float16))}, folder / FILE, metadata=about)
        (folder / FILE).chmod(0o644)
        return folder / FILE

    def distance(self, image: Image) -> float:
        """0 to 2: how unlike the training images ``image`` is. Raises CasewiseError, one sentence, for one of a single value."""
        from casewise.routing.out_of_distribution import Neighbours

        return float(np.median(Neighbours(self.bank).distances(features_of(informative_views(image), self.network))))

    def check(self, image: Image, application: str) -> None:
        """Raises CasewiseError, one sentence, for an image that is unlike the training images."""
        distance = self.distance(image)
        if distance > self.threshold:
            msg = (
                f"{application} is for {self.what}, and this image is unlike those that it was trained on "
                f"(distance {distance:.3f}, at most {self.threshold:.3f}); nothing was looked for. "
                "Give such an image, or choose another application."
            )
            raise CasewiseError(msg)


def informative_views(image: Image, every: bool = False) -> list[View]:
    """The views of an image that are not of one value: as many as the router looks at, or of ``every`` slice of a volume.

    Raises CasewiseError, one sentence, where there is none.
    """
    from casewise.routing.views import views

    found = views(image, max(image.spatial_shape), 0.0) if every and image.spatial_dims == 3 else views(image)
    found = [view for view in found if float(np.ptp(view)) > 0]
    if not found:
        raise CasewiseError("The image has one value throughout, so nothing can be seen in it; give another image.")
    return found


def features_of(views: Sequence[View], network: str | None = None) -> Matrix:
    """(n, features) of views by the network ``NETWORK``. network : the key that it must have.

    Raises ModelError where it is another network: distances would mean nothing.
    """
    from casewise.models.shipped import load
    from casewise.routing.features import features
    from casewise.threads import one_thread

    model = load(NETWORK)
    if network is not None and model.key != network:
        raise ModelError(f"{FILE} was made with another network; remake it by `python -m recipes.intended`.")
    with one_thread():
        return features(model, views)[0]
