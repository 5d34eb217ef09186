"""One thread of arithmetic: the networks are tiny and the cores are shared."""

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)
