"""The optimisers are torch's, and start without torch's compiler."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from casewise import optimizers


def _trained(kind: type[torch.optim.Optimizer], state: dict | None = None, **options: float) -> tuple[torch.Tensor, dict]:
    """Five steps on a network of fixed weights, from a state that was kept: its weights, and the state."""
    torch.manual_seed(0)
    network = torch.nn.Linear(4, 3)
    optimizer = kind(network.parameters(), lr=0.05, **options)
    if state is not None:
        optimizer.load_state_dict(state)
    for _ in range(5):
        optimizer.zero_grad()
        network(torch.arange(8.0).reshape(2, 4)).square().sum().backward()
        optimizer.step()
    return network.weight.detach().clone(), optimizer.state_dict()


@pytest.mark.parametrize(
    ("ours", "theirs", "options"),
    [
        (optimizers.Adam, torch.optim.Adam, {}),
        (optimizers.AdamW, torch.optim.AdamW, {}),
        (optimizers.AdamW, torch.optim.AdamW, {"weight_decay": 0.3}),
    ],
)
def test_steps_are_torchs_own(ours, theirs, options: dict[str, float]) -> None:
    weights, state = _trained(theirs, **options)
    same, other = _trained(ours, **options)
    assert torch.equal(weights, same)
    assert torch.equal(_trained(theirs, other, **options)[0], _trained(ours, state, **options)[0]), "each goes on from the other's"


def test_training_and_registration_do_not_import_the_compiler() -> None:
    program = (
        "import sys, torch\n"
        "from tests.discs import disc_case, segmenter\n"
        "from casewise.registration.batched import minimise\n"
        "from casewise.training import Settings, fit\n"
        "fit(segmenter(), [disc_case(1), disc_case(2)], settings=Settings(steps=2, batch=2, device='cpu'))\n"
        "place = torch.zeros(1, requires_grad=True)\n"
        "minimise(lambda: (place - 1).square().sum(), [place], 0.1, 3)\n"
        "assert place > 0.2\n"
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
