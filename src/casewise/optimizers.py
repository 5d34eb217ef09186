"""torch's optimisers without its compiler, which their first step imports: 1.4 seconds in each process that trains or registers.

casewise compiles no network. The functions are torch's own, without what keeps a compiler out of them.
"""

from __future__ import annotations

from inspect import unwrap

import torch
from torch.optim import Optimizer

_step = torch.no_grad()(unwrap(torch.optim.Adam.step))


class _Plain(Optimizer):
    add_param_group = unwrap(Optimizer.add_param_group)
    zero_grad = unwrap(Optimizer.zero_grad)
    state_dict = unwrap(Optimizer.state_dict)
    load_state_dict = unwrap(Optimizer.load_state_dict)
    step = _step


class Adam(_Plain, torch.optim.Adam):
    """Adam (Kingma and Ba, 2015), as torch has it."""


class AdamW(_Plain, torch.optim.AdamW):
    """AdamW (Loshchilov and Hutter, 2019), as torch has it."""
