"""Disease that is spread over the lungs of a frontal chest radiograph: an answer about the film, and the map that it comes from."""

from casewise.chest.diffuse.detector import Assessment, assess, assessed
from casewise.chest.diffuse.views import Lungs, lungs_of

__all__ = ["Assessment", "Lungs", "assess", "assessed", "lungs_of"]
