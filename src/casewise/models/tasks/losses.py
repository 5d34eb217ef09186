"""What training minimises: one loss a task, each with weights for cases and voxels (None: 1)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def segmentation_loss(
    logits: Tensor,
    target: Tensor,
    case_weights: Tensor | None = None,
    voxel_weights: Tensor | None = None,
    labelled: Tensor | None = None,
    pooled: bool = False,
) -> Tensor:
    """Cross-entropy + (1 − soft Dice over the structures), each case by its weight.

    logits : (N, 1 + structures, *spatial). target : (N, *spatial) integer. case_weights : (N,). voxel_weights : (N, *spatial).
    labelled : (N, structures) bool; where a case lacks the mask of a structure, that structure counts as part of its background
        (the marginal loss of Shi 2021), so that whatever the network says of it there is neither right nor wrong. None: all are.
    pooled : Dice of all cases together, which slices with a few voxels of a structure do not upset.
    Written here because MONAI's DiceCELoss takes no weight for a case or a voxel.
    """
    target = target.long()
    weights = torch.ones_like(logits[:, 0]) if voxel_weights is None else voxel_weights.to(logits.dtype)
    total = weights.flatten(1).sum(dim=1).clamp_min(1e-6)
    logits = logits if labelled is None else _marginal(logits, labelled)
    entropy = (functional.cross_entropy(logits, target, reduction="none") * weights).flatten(1).sum(dim=1) / total
    truth = functional.one_hot(target, logits.shape[1]).movedim(-1, 1)[:, 1:].to(logits.dtype)
    guess = logits.softmax(dim=1)[:, 1:]
    spread = weights[:, None]
    overlap = (guess * truth * spread).flatten(2).sum(dim=2)
    sizes = ((guess + truth) * spread).flatten(2).sum(dim=2)
    counted = torch.ones_like(sizes) if labelled is None else labelled.to(sizes.dtype)
    if pooled:
        shares = counted if case_weights is None else counted * case_weights[:, None]
        scores = (2 * (overlap * shares).sum(dim=0) + 1) / ((sizes * shares).sum(dim=0) + 1)
        there = shares.sum(dim=0) > 0
        return _weighted_mean(entropy, case_weights) + 1 - (scores * there).sum() / there.sum().clamp_min(1)
    scores = (2 * overlap + 1) / (sizes + 1)
    dice = (scores * counted).sum(dim=1) / counted.sum(dim=1).clamp_min(1)
    return _weighted_mean(entropy + 1 - dice, case_weights)


def _marginal(logits: Tensor, labelled: Tensor) -> Tensor:
    """Logits (N, 1 + structures, *spatial) whose background holds the structures that are not labelled; these get none."""
    none = -60.0  # as good as no probability, yet its exponential is a normal number: denormal ones take tenfold the time
    lacking = torch.nonzero(~labelled.all(dim=1))[:, 0].to(logits.device)
    if len(lacking) == 0:
        return logits
    own = logits[lacking]
    absent = ~labelled.to(logits.device)[lacking].view(len(lacking), -1, *[1] * (logits.ndim - 2))
    background = torch.cat([own[:, :1], own[:, 1:].masked_fill(~absent, none)], dim=1).logsumexp(dim=1, keepdim=True)
    changed = torch.cat([background, own[:, 1:].masked_fill(absent, none)], dim=1)
    return logits.index_copy(0, lacking, changed)


def classification_loss(logits: Tensor, target: Tensor, case_weights: Tensor | None = None) -> Tensor:
    """Cross-entropy −ln a_y. logits : (N, classes). target : (N,) integer. case_weights : (N,)."""
    return _weighted_mean(functional.cross_entropy(logits, target, reduction="none"), case_weights)


def reconstruction_loss(
    output: Tensor, clean: Tensor, case_weights: Tensor | None = None, voxel_weights: Tensor | None = None
) -> Tensor:
    """Mean absolute difference of the rebuilt and the unspoilt image, both (N, C, *spatial); ``voxel_weights`` (N, *spatial)."""
    difference = (output - clean).abs().mean(dim=1).flatten(1)
    if voxel_weights is None:
        return _weighted_mean(difference.mean(dim=1), case_weights)
    spread = voxel_weights.to(difference.dtype).flatten(1)
    return _weighted_mean((difference * spread).sum(dim=1) / spread.sum(dim=1).clamp_min(1e-6), case_weights)


def _weighted_mean(losses: Tensor, weights: Tensor | None) -> Tensor:
    weights = torch.ones_like(losses) if weights is None else weights
    return (losses * weights).sum() / weights.sum().clamp_min(1e-6)
