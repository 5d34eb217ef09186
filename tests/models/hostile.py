"""TorchScript files that do more than compute, by every way that the language has."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import torch
from torch import Tensor, nn


class Harmless(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, x], 1)


class _Saves(nn.Module):
    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def forward(self, x: Tensor) -> Tensor:
        torch.save(x, self.path)
        return x


class Submodule(nn.Module):
    def __init__(self, path: str) -> None:
        super().__init__()
        self.inner = nn.Sequential(_Saves(path), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.inner(x)], 1)


class Unused(Harmless):
    """Nothing calls it, but somebody could."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    @torch.jit.export
    def extra(self, x: Tensor) -> None:
        torch.save(x, self.path)


class Setstate(nn.Module):
    """Runs as soon as the file is loaded."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, x], 1)

    @torch.jit.export
    def __getstate__(self) -> tuple[str, bool]:
        return (self.path, self.training)

    @torch.jit.export
    def __setstate__(self, state: tuple[str, bool]) -> None:
        self.path = state[0]
        self.training = state[1]
        torch.save(torch.zeros(1), self.path)


class SetstateForever(Setstate):
    @torch.jit.export
    def __setstate__(self, state: tuple[str, bool]) -> None:
        self.path = state[0]
        self.training = state[1]
        while True:
            self.training = not self.training


class Forked(nn.Module):
    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def save(self, x: Tensor) -> Tensor:
        torch.save(x, self.path)
        return x

    def forward(self, x: Tensor) -> Tensor:
        future = torch.jit.fork(self.save, x)
        return torch.cat([x, torch.jit.wait(future)], 1)


class Reads(nn.Module):
    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, x + torch.from_file("/etc/passwd", False, 10, dtype=torch.uint8).sum()], 1)


class Prints(nn.Module):
    def __init__(self, path: str) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(1_000_000):
            print("chatter")
        return torch.cat([x, x], 1)


@torch.jit.script
class Keeper:
    def __init__(self, path: str) -> None:
        self.path = path

    def keep(self, x: Tensor) -> Tensor:
        torch.save(x, self.path)
        return x


class OwnClass(nn.Module):
    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, Keeper(self.path).keep(x)], 1)


class Branch(nn.Module):
    """In a branch that no trial takes."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[0] > 1000:
            for _ in range(2):
                torch.save(x, self.path)
        return torch.cat([x, x], 1)


class Hooked(Harmless):
    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path
        self.register_forward_hook(_hook)


def _hook(self, x: tuple[Tensor], y: Tensor):  # type: ignore[no-untyped-def]
    torch.save(y, self.path)
    return y


class Forever(nn.Module):
    def __init__(self, path: str) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        n = 0
        while x.shape[0] > 0:
            n += 1
        return torch.cat([x, x], 1)


class Giant(nn.Module):
    def __init__(self, path: str) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        held = torch.jit.annotate(list[Tensor], [])
        for _ in range(400):
            held.append(torch.rand(4096, 4096))
        return torch.cat([x, x + held[-1].sum()], 1)


WRITING = (Submodule, Unused, Setstate, Forked, Reads, Prints, OwnClass, Branch, Hooked)
ENDLESS = (SetstateForever, Forever, Giant)


def write(path: Path, kind: type[nn.Module], target: Path) -> None:
    """The file and its description."""
    torch.jit.script(kind(str(target))).save(str(path))
    describe(path)


def describe(path: Path) -> None:
    path.with_name(f"{path.name}.toml").write_text(
        'task = "segmentation"\nstructures = ["lung"]\nanswers = "logits"\n[input]\nspatial_dims = 2\nsize = [16, 16]\n'
        'channels = 1\nintensity = "percentile"\naxes = "PLS"\n'
    )


def rewritten(path: Path, statement: str) -> None:
    """A file whose code has ``statement`` before its return, as nobody who exports a network could write it."""
    harmless, changed = io.BytesIO(), io.BytesIO()
    torch.jit.save(torch.jit.script(Harmless()), harmless)
    with zipfile.ZipFile(harmless) as old, zipfile.ZipFile(changed, "w") as new:
        for entry in old.namelist():
            content = old.read(entry)
            if entry.endswith(".py"):
                content = content.replace(b"    return ", f"    {statement}\n    return ".encode())
            new.writestr(entry, content)
    path.write_bytes(changed.getvalue())
    describe(path)
