"""Where networks reckon in bfloat16."""

from __future__ import annotations

import pytest
import torch

from casewise import device


@pytest.mark.parametrize(
    ("has_it", "allowed", "expected"),
    [
        (True, True, torch.bfloat16),
        (True, False, torch.float32),
        (False, True, torch.float32),
    ],
)
def test_a_processor_without_bfloat16_never_emulates_it(
    monkeypatch: pytest.MonkeyPatch, has_it: bool, allowed: bool, expected: torch.dtype
) -> None:
    monkeypatch.setattr(device, "computes_in_bfloat16", lambda: has_it)
    with torch.inference_mode(), device.faster("cpu", allowed):
        assert torch.nn.Linear(2, 2)(torch.ones(1, 2)).dtype == expected


def test_no_code_enters_bfloat16_by_another_way() -> None:
    from pathlib import Path

    root = Path(__file__).parents[1]
    found = [
        str(file.relative_to(root))
        for top in ("src", "experiments", "recipes", "benchmarks")
        for file in (root / top).rglob("*.py")
        if "torch.autocast(" in file.read_text(encoding="utf-8")
    ]
    assert sorted(found) == ["src/casewise/device.py", "src/casewise/models/foreign/serving.py"]
