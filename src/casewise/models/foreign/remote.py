"""``RemoteNetwork``: a network that runs in a confined process, and here is an ordinary module with weights and gradients."""

from __future__ import annotations

import itertools
import os
import select
import socket
import threading
import time
import weakref
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from casewise.confinement import Confined, Plan
from casewise.confinement.processes import Table
from casewise.errors import ModelError
from casewise.models.foreign.frames import FrameError, packed, unpacked

_TARGET = "casewise.models.foreign.serving:main"
_PASSED = ("PATH", "LANG", "LD_LIBRARY_PATH", "CUDA", "NVIDIA", "OMP_", "MKL_", "PYTHON", "TORCH", "PYTORCH", "KMP_")
_LOOK = 0.1
_START = 120.0  # seconds until the process has imported torch
_BASE = 1 << 30  # bytes that it may hold whatever the network
# By the size of what goes in: a network's layers hold many times that, and take their time.
_PER_BYTE, _PER_MILLION = 2048, 100.0
_TRIAL, _PATIENCE = 10.0, 60.0  # seconds for a trial and for an image, beside what its size allows
_TRAINING = 4  # gradients and the activations that they need
_ANSWERS = 64 << 20  # bytes of an answer beside 64 times the input

_servers: weakref.WeakValueDictionary[str, _Server] = weakref.WeakValueDictionary()
_making = threading.Lock()
_table = Table()
_numbers = itertools.count(1)
_nursery: _Nursery | None = None
_started: set[int] = set()


class NetworkError(ModelError):
    """The network itself failed on what it was given."""


class RemoteNetwork(nn.Module):
    """The network of a TorchScript file, checked and run in a process that can write nowhere and connect to nothing.

    Its parameters, buffers and submodules carry the file's names. They live here; what of them changed goes along with the next
    input. Gradients are computed there. Raises ModelError where the file's graph holds what is no arithmetic, where torch cannot
    load it, and where the network passes its time or memory.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path, self._lock = path, threading.RLock()
        self._number = 0
        self._sent: dict[str, tuple[int, int]] = {}
        self._server = _server(path)
        reply, tensors = self._load()
        self._mirror(reply, tensors)

    def forward(self, x: Tensor) -> Any:
        """The network's answer on the device of ``x``; where it is no tensor, an empty value of its kind."""
        trained = [(name, p) for name, p in self._names.items() if isinstance(p, nn.Parameter) and p.requires_grad]
        if torch.is_grad_enabled() and (x.requires_grad or trained):
            return _Remote.apply(self, x, [name for name, _ in trained], *(p for _, p in trained))  # type: ignore[no-untyped-call]
        return self._ask_forward(x, [], None)

    def __deepcopy__(self, memo: dict[int, Any]) -> RemoteNetwork:
        copy = RemoteNetwork(self._path)
        copy.load_state_dict(self.state_dict())
        return copy.train(self.training)

    def _load(self) -> tuple[dict[str, Any], list[Tensor]]:
        size = self._path.stat().st_size
        self._number = next(_numbers)
        self._sent = {}
        weakref.finalize(self, self._server.dropped.append, self._number)
        header = {"do": "load", "path": str(self._path.absolute()), "network": self._number, "memory": _BASE + 6 * size}
        return self._server.ask(header, (), seconds=_TRIAL + size / 20e6, memory=_BASE + 6 * size, most=4 * size + _ANSWERS)

    def _mirror(self, reply: dict[str, Any], tensors: list[Tensor]) -> None:
        """Modules, parameters and buffers as they are there; a parameter that stands in two places is one."""
        try:
            modules: dict[str, nn.Module] = {"": self}
            for name, kind in reply["modules"]:
                if name:
                    above, _, own = name.rpartition(".")
                    modules[name] = _Part(kind)
                    modules[above].add_module(own, modules[name])
            held = [nn.Parameter(tensor, requires_grad=tensor.is_floating_point()) for tensor in tensors]
            for (name, is_parameter), first, tensor in zip(reply["names"], reply["tied"], tensors, strict=True):
                above, _, own = name.rpartition(".")
                if is_parameter:
                    modules[above].register_parameter(own, held[first])
                else:
                    modules[above].register_buffer(own, tensor)
        except (KeyError, TypeError, ValueError, IndexError, RuntimeError, AttributeError) as error:
            raise ModelError(f"The network in {self._path} has parts that casewise cannot name; export it again.") from error

    @property
    def _names(self) -> dict[str, Tensor]:
        return {**dict(self.named_parameters(remove_duplicate=False)), **dict(self.named_buffers(remove_duplicate=False))}

    def _ask_forward(self, x: Tensor, wanted: Sequence[str], ticket: int | None) -> Any:
        with self._lock:
            if self._server.is_dead:
                self._server = _server(self._path)
                self._load()
            state = self._names
            marks = {name: (tensor.data_ptr(), tensor._version) for name, tensor in state.items()}
            changed = [name for name, mark in marks.items() if self._sent.get(name) != mark]
            size = x.numel() * x.element_size()
            weights = sum(tensor.numel() * tensor.element_size() for tensor in state.values())
            memory = _BASE + (size * _PER_BYTE + 6 * weights) * (1 if ticket is None else _TRAINING)
            header = {
                "do": "forward",
                "network": self._number,
                "dropped": self._server.forgotten(),
                "device": str(x.device),
                "changed": changed,
                "training": [name for name, module in self.named_modules() if module.training],
                "threads": torch.get_num_threads(),
                "seed": int(torch.randint(2**62, ()).item()) if self.training else None,
                "wanted": list(wanted),
                "ticket": ticket,
                "input": x.requires_grad,
                "autocast": _autocast(x.device.type),
                "memory": memory if x.device.type == "cpu" else None,
            }
            seconds = (_PATIENCE if self._sent else _TRIAL) + _PER_MILLION * x.numel() / 1e6 * (1 if ticket is None else _TRAINING)
            most = _ANSWERS + 64 * size + 2 * weights
            reply, tensors = self._server.ask(header, [x, *(state[name] for name in changed)], seconds, memory, most)
            self._take(reply, tensors, state)
            if reply.get("kind") != "Tensor":
                return {"list": [], "tuple": (), "dict": {}}.get(str(reply.get("kind")))
            return tensors[0].to(x.device)

    def _take(self, reply: dict[str, Any], tensors: list[Tensor], state: dict[str, Tensor]) -> None:
        """Buffers that the network changed (running statistics) change here too."""
        names = reply.get("changed", [])
        if reply.get("kind") == "Tensor" and (not tensors or len(names) != len(tensors) - 1):
            raise ModelError(f"The network in {self._path} stopped responding.")
        with torch.no_grad():
            for name, tensor in zip(names, tensors[1:], strict=False):
                if name in state and state[name].shape == tensor.shape:
                    state[name].copy_(tensor)
        self._sent = {name: (tensor.data_ptr(), tensor._version) for name, tensor in state.items()}

    def _ask_backward(self, ticket: int, gradient: Tensor, like: Sequence[Tensor], x: Tensor) -> list[Tensor]:
        with self._lock:
            size = gradient.numel() * gradient.element_size()
            weights = sum(tensor.numel() * tensor.element_size() for tensor in like)
            memory = _BASE + (max(size, x.numel() * 4) * _PER_BYTE + 6 * weights) * _TRAINING
            header = {"do": "backward", "ticket": ticket, "memory": memory if gradient.device.type == "cpu" else None}
            seconds = _PATIENCE + _TRAINING * _PER_MILLION * x.numel() / 1e6
            self._server.nursery.expect_gradients()
            _, found = self._server.ask(header, [gradient], seconds, memory, _ANSWERS + 64 * size + 2 * weights)
            return found


class _Part(nn.Module):
    """A submodule's place; it holds parameters and does nothing."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.original_name = kind


class _Remote(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, network: RemoteNetwork, x: Tensor, wanted: list[str], *parameters: Tensor) -> Any:
        ctx.network, ctx.ticket, ctx.parameters, ctx.x = network, next(_numbers), parameters, x
        answer = network._ask_forward(x, wanted, ctx.ticket)
        return answer

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        found = ctx.network._ask_backward(ctx.ticket, gradients[0], ctx.parameters, ctx.x)
        own = found.pop(0) if len(found) > len(ctx.parameters) else None
        placed = [g.to(p.device, p.dtype) for g, p in zip(found, ctx.parameters, strict=True)]
        return (None, None if own is None else own.to(ctx.x.device), None, *placed)


class _Nursery:
    """The confined process that has torch imported and is copied for each file."""

    def __init__(self) -> None:
        self._has_gradients = False
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        plan = Plan(_TARGET, network=False, arithmetic=True, devices=torch.cuda.is_available())
        environment = {name: value for name, value in os.environ.items() if name.startswith(_PASSED)}
        with theirs:
            self.process = Confined(plan, "TorchScript networks", environment, Path("/"), theirs.fileno())
        weakref.finalize(self, self.process.end)

    @property
    def is_dead(self) -> bool:
        return self.process.process.poll() is not None

    def copy(self, number: int) -> socket.socket:
        """A socket to a copy of it."""
        own, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self._control, [str(number).encode()], [theirs.fileno()])
        return own

    def expect_gradients(self) -> None:
        """Copies to come have imported what gradients need."""
        if not self._has_gradients:
            self._has_gradients = True
            with suppress(OSError):
                self._control.send(b"0")

    def end(self, number: int) -> None:
        with suppress(OSError):
            self._control.send(str(-number).encode())


class _Server:
    """A confined process that holds the networks of one file; one question at a time."""

    def __init__(self, path: Path, nursery: _Nursery) -> None:
        self.path, self.dropped = path, deque[int]()
        self._lock, self._dead = threading.Lock(), False
        self.nursery, self._number = nursery, next(_numbers)
        self._process = nursery.process
        self._channel = nursery.copy(self._number)
        self._channel.setblocking(False)
        weakref.finalize(self, _ended, nursery, self._number, self._channel)

    @property
    def is_dead(self) -> bool:
        return self._dead or self.nursery.is_dead

    def forgotten(self) -> list[int]:
        """Networks that nobody holds here any more."""
        return [self.dropped.popleft() for _ in range(len(self.dropped))]

    def ask(
        self, header: dict[str, Any], tensors: Sequence[Tensor], seconds: float, memory: float, most: int
    ) -> tuple[dict[str, Any], list[Tensor]]:
        """Raises ModelError where it is refused, passes its time or memory, or ends; then the process is ended."""
        with self._lock:
            until = time.monotonic() + seconds + (_START if _is_starting(self._process) else 0)
            memory += _table.resident(self._process.pid)  # others' networks beside it
            try:
                for piece in packed(header, tensors):
                    self._send(piece, until, seconds, memory)
                reply, found = unpacked(lambda buffer: self._fill(buffer, until, seconds, memory), most)
            except ModelError:
                self.end()
                raise
            except (FrameError, OSError) as error:
                self.end()
                raise self._ended() from error
            except BaseException:  # an interruption in the middle of a message
                self.end()
                raise
            _started.add(self._process.pid)
        if "refused" in reply:
            msg = f"{self.path} is no network that casewise runs: {reply['refused']}. Export the network alone, without other work."
            raise ModelError(msg)
        if "failed" in reply and "allocate memory" in str(reply["failed"]):
            raise ModelError(
                f"The network in {self.path} asked for more memory than the {int(memory) >> 20:,} MB that casewise allows for an "
                "input of this size."
            )
        if "failed" in reply:
            raise NetworkError(str(reply["failed"])[:400])
        return reply, found

    def end(self) -> None:
        self._dead = True
        _ended(self.nursery, self._number, self._channel)

    def _send(self, piece: memoryview, until: float, seconds: float, memory: float) -> None:
        while piece:
            if select.select([], [self._channel], [], _LOOK)[1]:
                piece = piece[self._channel.send(piece[: 1 << 20]) :]
            else:
                self._check(until, seconds, memory)

    def _fill(self, buffer: memoryview, until: float, seconds: float, memory: float) -> None:
        while buffer:
            if select.select([self._channel], [], [], _LOOK)[0]:
                count = self._channel.recv_into(buffer)
                if not count:
                    raise self._ended()
                buffer = buffer[count:]
            else:
                self._check(until, seconds, memory)

    def _check(self, until: float, seconds: float, memory: float) -> None:
        if time.monotonic() > until:
            raise ModelError(f"The network in {self.path} was stopped after {seconds:.0f} s, its limit for an input of this size.")
        used = _table.resident(self._process.pid, memory)
        if used > memory:
            raise ModelError(
                f"The network in {self.path} was stopped when it held {used >> 20:,} MB of memory; its limit for an input of this "
                f"size is {int(memory) >> 20:,} MB."
            )

    def _ended(self) -> ModelError:
        return ModelError(f"The process that ran the network in {self.path} ended by itself.")


def _server(path: Path) -> _Server:
    """The process that runs this file's networks; all of them share it."""
    global _nursery
    with _making:
        if _nursery is None or _nursery.is_dead:
            _nursery = _Nursery()
        found = _servers.get(str(path))
        if found is None or found.is_dead:
            found = _servers[str(path)] = _Server(path, _nursery)
        return found


def _ended(nursery: _Nursery, number: int, channel: socket.socket) -> None:
    nursery.end(number)
    channel.close()


def _is_starting(process: Confined) -> bool:
    """Whether torch may still be on its way in; that takes its time on a busy machine."""
    return process.pid not in _started


def _autocast(device: str) -> str | None:
    if not torch.is_autocast_enabled(device):
        return None
    return str(torch.get_autocast_dtype(device)).removeprefix("torch.")
