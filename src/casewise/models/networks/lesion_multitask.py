"""Multi-task network for lesions: one encoder, whose features a decoder makes the map of and a head the class."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from casewise.models.networks.lesion_localiser import Localiser
from casewise.models.networks.lesion_parts import LesionAnswer, Looking


class MultiTask(nn.Module):
    """Input (N, sequences, row, column), a missing sequence 0 everywhere; see :class:`LesionAnswer`.

    told_by : numbers of the sequences that the class is predicted from. One that a class never has would give the class away by
    being there, which says who was imaged where and nothing of the lesion: for the class it is taken out, and the encoder runs
    once more. mapped : whether there is a map at all; without it the head takes the features alone.
    """

    def __init__(
        self, sequences: int, classes: int, channels: Sequence[int], patch: int, told_by: Sequence[int], mapped: bool
    ) -> None:
        super().__init__()
        self.hidden = [number for number in range(sequences) if number not in told_by]
        self.mapped = mapped
        self.localiser = Localiser(sequences, 1, channels, patch)
        self.classifier = Looking(channels[-1], classes)

    def forward(self, x: Tensor) -> LesionAnswer:
        used = x
        if self.hidden and bool((x[:, self.hidden] != 0).any()):
            used = x.clone()
            used[:, self.hidden] = 0
        if not self.mapped:
            return LesionAnswer(None, self.classifier(self.localiser.encoder(used), None))
        levels = self.localiser.encoder.levels_of(x)
        logits = self.localiser.drawn(levels, x)[:, 0]
        features: Tensor = levels[-1] if used is x else self.localiser.encoder(used)
        return LesionAnswer(logits, self.classifier(features, logits))
