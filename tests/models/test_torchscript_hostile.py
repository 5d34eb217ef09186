"""TorchScript from anybody: what does more than compute is refused in a sentence, and nothing of it has been done by then."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import pytest
import torch
from torch import nn

import casewise
from casewise.errors import ModelError
from casewise.image import Image
from casewise.models.foreign.graph import _nodes
from casewise.models.foreign.operators import OPERATORS
from casewise.models.foreign.remote import NetworkError, RemoteNetwork
from tests.models import hostile

# Ways to write a call that a search through the text does not see.
SPELLINGS = {
    "plain": 'torch.save(x, "@")',
    "comment": '(torch. # a comment\n      save(x, "@"))',
    "line goes on": 'torch.\\\n      save(x, "@")',
    "getattr": 'getattr(torch, "save")(x, "@")',
    "getattr of ops": 'getattr(ops.aten, "save")(x, "@")',
    "alias": 'other = torch\n    other.save(x, "@")',
    "alias of ops": 'other = ops.aten\n    other.save(x, "@")',
    "comment in ops": '(ops.aten. # a comment\n      save(x, "@"))',
    "spaces": 'torch . save (x, "@")',
    "condition": 'torch.save(x, "@") if bool(torch.any(x > -1)) else None',
    "nested alias": 'a = ops\n    b = a.aten\n    b.save(x, "@")',
}


def refusal(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        casewise.Model.load(path)
    return str(caught.value)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_no_spelling_of_save_writes(tmp_path: Path, spelling: str) -> None:
    target = tmp_path / "WRITTEN"
    hostile.rewritten(tmp_path / "net.ts", SPELLINGS[spelling].replace("@", str(target)))
    message = refusal(tmp_path / "net.ts")
    assert str(tmp_path / "net.ts") in message
    assert not target.exists()


@pytest.mark.parametrize("kind", hostile.WRITING, ids=lambda kind: kind.__name__)
def test_nothing_but_arithmetic_runs(tmp_path: Path, kind: type[nn.Module]) -> None:
    target = tmp_path / "WRITTEN"
    hostile.write(tmp_path / "net.ts", kind, target)
    target.unlink(missing_ok=True)
    message = refusal(tmp_path / "net.ts")
    assert "is not among the operators" in message
    assert not target.exists()


def test_files_would_be_written_by_torch_itself(tmp_path: Path) -> None:
    """What the tests above assert of casewise is not so anyway."""
    target = tmp_path / "WRITTEN"
    hostile.write(tmp_path / "net.ts", hostile.Setstate, target)
    target.unlink(missing_ok=True)
    torch.jit.load(str(tmp_path / "net.ts"))
    assert target.exists()


def test_one_that_never_ends_and_one_that_takes_all_memory_are_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("casewise.models.foreign.remote._TRIAL", 2.0)
    for kind in (hostile.Forever, hostile.SetstateForever):
        hostile.write(tmp_path / f"{kind.__name__}.ts", kind, tmp_path / "WRITTEN")
        assert "was stopped after 2 s" in refusal(tmp_path / f"{kind.__name__}.ts")
    monkeypatch.setattr("casewise.models.foreign.remote._TRIAL", 60.0)
    hostile.write(tmp_path / "giant.ts", hostile.Giant, tmp_path / "WRITTEN")
    message = refusal(tmp_path / "giant.ts")
    assert "memory" in message


def test_after_one_that_was_stopped_the_next_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = tmp_path / "good.ts"
    torch.jit.script(hostile.Harmless()).save(str(good))
    hostile.describe(good)
    before = casewise.Model.load(good)
    monkeypatch.setattr("casewise.models.foreign.remote._TRIAL", 2.0)
    hostile.write(tmp_path / "bad.ts", hostile.Forever, tmp_path / "WRITTEN")
    assert "stopped" in refusal(tmp_path / "bad.ts")
    monkeypatch.undo()
    image = Image(torch.rand(1, 20, 20).numpy())
    assert before.predict(image).mask.shape == (20, 20)
    assert casewise.Model.load(good).key == before.key


def test_a_network_whose_process_was_ended_goes_on_in_another(tmp_path: Path) -> None:
    torch.manual_seed(0)
    torch.jit.script(nn.Conv2d(1, 2, 3)).save(str(tmp_path / "net.ts"))
    network = RemoteNetwork(tmp_path / "net.ts")
    x = torch.rand(1, 1, 8, 8)
    with torch.no_grad():
        before = network(x)
        network._server.end()
        assert torch.equal(network(x), before)


def test_an_archive_that_unfolds_is_refused_unread(tmp_path: Path) -> None:
    """What would unfold is damaged too, which whoever read it would say instead."""
    path = tmp_path / "net.ts"
    torch.jit.script(hostile.Harmless()).save(str(path))
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("net/data/9", bytes(200 << 20))
        entry = archive.getinfo("net/data/9")
    with path.open("r+b") as file:
        file.seek(entry.header_offset + 1000)
        file.write(b"\xff" * 1000)
    with zipfile.ZipFile(path) as archive, pytest.raises((zipfile.BadZipFile, zlib.error)):
        archive.read("net/data/9")
    hostile.describe(path)
    assert "would unfold" in refusal(path)


class Layers(nn.Module):
    """What networks of this field are made of, with loops, branches, lists and texts."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(1, 8, 3, 2, 1), nn.InstanceNorm2d(8, affine=True), nn.LeakyReLU(), nn.Dropout2d(0.2))
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.norm, self.up = nn.GroupNorm(2, 8), nn.ConvTranspose2d(8, 2, 2, 2)
        self.rounds = 2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.down(x)
        shapes: list[int] = []
        for n in range(self.rounds):
            flat = y.flatten(2).transpose(1, 2)
            more = self.attention(flat, flat, flat)[0].transpose(1, 2).reshape(y.shape)
            y = y + self.norm(more) if n > 0 else more
            shapes.append(y.shape[-1])
        if y.shape[1] != 8:
            raise ValueError(f"got {y.shape}")
        grid = nn.functional.affine_grid(torch.eye(2, 3)[None].expand(y.shape[0], 2, 3), [y.shape[0], 8, 8, 8], align_corners=False)
        y = nn.functional.grid_sample(y, grid.to(y.dtype), align_corners=False)
        z = nn.functional.interpolate(y, scale_factor=2.0, mode="bilinear", align_corners=False)
        z = torch.einsum("bchw,cd->bdhw", z, torch.ones(8, 8)) + nn.functional.pad(z, [0, 0, 0, 0])
        return self.up(nn.functional.avg_pool2d(z, 2))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("trace", [False, True])
def test_answers_and_gradients_are_those_of_the_network_itself(tmp_path: Path, trace: bool) -> None:
    torch.manual_seed(0)
    network, x = Layers().eval(), torch.rand(2, 1, 16, 16)
    (torch.jit.trace(network, x, check_trace=False) if trace else torch.jit.script(network)).save(str(tmp_path / "net.ts"))
    remote = RemoteNetwork(tmp_path / "net.ts").eval()
    assert list(remote.state_dict()) == list(network.state_dict())
    with torch.inference_mode():
        assert torch.equal(remote(x), torch.jit.load(str(tmp_path / "net.ts")).eval()(x))
        assert torch.allclose(remote(x), network(x), atol=1e-5)
    own, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    network(own).square().sum().backward()
    remote(theirs).square().sum().backward()
    assert torch.allclose(own.grad, theirs.grad, atol=1e-5)  # type: ignore[arg-type]
    for (name, first), (other, second) in zip(network.named_parameters(), remote.named_parameters(), strict=True):
        assert name == other
        assert torch.allclose(first.grad, second.grad, atol=1e-4), name  # type: ignore[arg-type]


def test_running_statistics_and_frozen_parts_follow(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4))
    torch.jit.script(network).save(str(tmp_path / "net.ts"))
    remote = RemoteNetwork(tmp_path / "net.ts")
    for one in (network, remote):
        one.train()
        one.get_submodule("1").eval()
        one(torch.linspace(0, 1, 200).reshape(2, 1, 10, 10))
    assert remote.get_submodule("1").original_name == "BatchNorm2d"
    for (name, first), (_, second) in zip(network.named_buffers(), remote.named_buffers(), strict=True):
        assert torch.allclose(first.float(), second.float()), name
    assert float(network[1].running_mean.abs().sum()) == 0 < float(network[3].running_mean.abs().sum())


def test_what_the_network_says_when_it_fails_is_passed_on(tmp_path: Path) -> None:
    torch.jit.script(Layers()).save(str(tmp_path / "net.ts"))
    with pytest.raises(NetworkError, match="channels"):
        RemoteNetwork(tmp_path / "net.ts")(torch.rand(1, 3, 16, 16))


def test_every_function_of_torch_that_networks_use_is_allowed() -> None:
    import inspect

    strange: dict[str, str] = {}
    scripted = 0
    for name, function in vars(nn.functional).items():
        if name.startswith("_") or not inspect.isfunction(function):
            continue
        try:
            graph = torch.jit.script(function).inlined_graph
        except Exception:  # some of torch's own cannot be scripted
            continue
        scripted += 1
        strange |= {node.kind(): name for node in _nodes(graph) if node.kind() not in OPERATORS}
    assert scripted > 60
    assert strange == {}


@pytest.mark.parametrize("name", ["aten::save", "aten::from_file", "prim::PythonOp", "prim::Print", "prim::fork", "prim::rpc_sync"])
def test_operators_with_effects_are_not_allowed(name: str) -> None:
    assert name not in OPERATORS
    assert not any(operator.split("::")[0] not in ("aten", "prim", "quantized", "_quantized") for operator in OPERATORS)
