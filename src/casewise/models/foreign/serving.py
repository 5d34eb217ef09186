"""The confined processes in which networks of TorchScript files run: they load, check and compute, and write nowhere.

The first imports torch and nothing of a file; for each file it makes a copy of itself, which is given a socket to casewise. The
copy answers each message (:mod:`casewise.models.foreign.frames`) by one. What networks print goes to stderr.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from contextlib import nullcontext, suppress
from typing import Any

import torch
from torch import Tensor, nn

from casewise.models.foreign.frames import packed, unpacked
from casewise.models.foreign.graph import forbidden

_MOST = 1 << 40
_TICKETS = 4  # answers that may still be asked for their gradients


class _RefusedError(Exception):
    """A clause that says what the network may not do."""


def main() -> None:
    """Make copies until stdin, a socket, ends: ``N`` with a descriptor makes the N-th, ``-N`` ends it.

    ``0`` prepares for gradients, so that each copy need not.
    """
    control = socket.socket(fileno=os.dup(0))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    copies: dict[int, int] = {}
    while True:
        received, descriptors, _, _ = socket.recv_fds(control, 64, 1)
        if not received:
            return
        number = int(received)
        if number == 0:
            import torch.fx.experimental.symbolic_shapes  # noqa: F401 gradients need it, and it takes a second
        if number > 0 and descriptors:
            pid = os.fork()
            if pid == 0:
                control.close()
                _serve(descriptors[0])
            os.close(descriptors[0])
            copies[number] = pid
        elif -number in copies:
            pid = copies.pop(-number)
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)  # it was not waited for, so that the number is still its own
                os.waitpid(pid, 0)


def _serve(channel: int) -> None:
    """Answer until casewise closes the socket."""
    server = _Server()
    while True:
        header, tensors = unpacked(lambda buffer: _fill(channel, buffer), _MOST)
        try:
            reply, found = getattr(server, f"do_{header['do']}")(header, tensors)
        except _RefusedError as error:
            reply, found = {"refused": str(error)}, []
        except BaseException as error:  # a network may fail in any way
            reply, found = {"failed": " ".join(str(error).split())[-400:] or type(error).__name__}, []
        for piece in packed(reply, found):
            while piece:
                piece = piece[os.write(channel, piece) :]


def _fill(handle: int, buffer: memoryview) -> None:
    while buffer:
        count = os.readv(handle, [buffer])
        if not count:
            os._exit(0)
        buffer = buffer[count:]


class _Server:
    def __init__(self) -> None:
        self._networks: dict[int, nn.Module] = {}
        self._tickets: dict[int, tuple[Tensor, Tensor, list[Tensor]]] = {}
        self._device = torch.device("cpu")

    def do_load(self, header: dict[str, Any], _: list[Tensor]) -> tuple[dict[str, Any], list[Tensor]]:
        _bound(header)
        network = _loaded(header["path"])
        network.eval()
        self._networks[header["network"]] = network
        weights: list[Tensor] = []
        tied: dict[object, int] = {}
        names, groups = [], []
        parameters = dict(network.named_parameters(remove_duplicate=False))
        for name, tensor in network.state_dict(keep_vars=True).items():
            place = (tensor.data_ptr(), tuple(tensor.shape), tensor.dtype)
            names.append([name, name in parameters])
            groups.append(tied.setdefault(place, len(weights)) if name in parameters and tensor.numel() else len(weights))
            weights.append(tensor)
        modules = [[name, str(getattr(module, "original_name", ""))] for name, module in network.named_modules()]
        return {"names": names, "tied": groups, "modules": modules}, weights

    def do_forward(self, header: dict[str, Any], tensors: list[Tensor]) -> tuple[dict[str, Any], list[Tensor]]:
        """Tensors: the input, then weights that changed (``changed``: their names)."""
        _bound(header)
        for number in header["dropped"]:
            self._networks.pop(number, None)
        network = self._networks[header["network"]]
        device = torch.device(header["device"])
        network.to(device)
        x, changed = tensors[0].to(device), tensors[1:]
        state = network.state_dict(keep_vars=True)
        with torch.no_grad():
            for name, tensor in zip(header["changed"], changed, strict=True):
                state[name].copy_(tensor)
        for name, module in network.named_modules():
            if hasattr(module, "training") and module.training != (name in header["training"]):
                module.train(name in header["training"])
        if torch.get_num_threads() != header["threads"]:
            torch.set_num_threads(header["threads"])
        if header["seed"] is not None:
            torch.manual_seed(header["seed"])
        # Compared by what they hold: some kernels change running statistics without counting it as a change.
        before = {name: tensor.clone() for name, tensor in network.named_buffers()} if header["training"] else {}
        answer = self._answer(network, x, header)
        if not isinstance(answer, Tensor):
            return {"kind": type(answer).__name__}, []
        after = [name for name, tensor in before.items() if name in state and not torch.equal(tensor, state[name])]
        return {"kind": "Tensor", "changed": after}, [answer.detach(), *(state[name].detach() for name in after)]

    def _answer(self, network: nn.Module, x: Tensor, header: dict[str, Any]) -> object:
        wanted = set(header["wanted"])
        parameters = dict(network.named_parameters(remove_duplicate=False))
        for name, parameter in parameters.items():
            parameter.requires_grad_(name in wanted)
        low = header["autocast"]
        cast = torch.autocast(x.device.type, getattr(torch, low)) if low else nullcontext()
        if header["ticket"] is None:
            with torch.no_grad(), cast:
                return network(x)
        x.requires_grad_(header["input"])
        with torch.enable_grad(), cast:
            answer = network(x)
        if isinstance(answer, Tensor):
            self._tickets[header["ticket"]] = (answer, x, [parameters[name] for name in header["wanted"]])
            for old in sorted(self._tickets)[:-_TICKETS]:
                del self._tickets[old]
        return answer

    def do_backward(self, header: dict[str, Any], tensors: list[Tensor]) -> tuple[dict[str, Any], list[Tensor]]:
        """The gradients of the input (where it wants one) and of the wanted parameters; zeros where the answer does not depend."""
        _bound(header)
        answer, x, parameters = self._tickets.pop(header["ticket"])
        sources = ([x] if x.requires_grad else []) + parameters
        found = torch.autograd.grad(answer, sources, tensors[0].to(answer.device, answer.dtype), allow_unused=True)
        filled = [torch.zeros_like(s) if g is None else g for g, s in zip(found, sources, strict=True)]
        return {"input": x.requires_grad}, filled


def _loaded(path: str) -> nn.Module:
    """Raises _RefusedError for a network that may not run, also where loading it fails on the way."""
    from torch.jit._recursive import wrap_cpp_module

    unit = torch._C.CompilationUnit()
    try:
        module = torch._C.import_ir_module(unit, path, torch.device("cpu"), {}, False)  # type: ignore[call-arg]
    except RuntimeError:
        with suppress(RuntimeError):  # what was compiled by then may be no whole
            found = forbidden(_functions(unit))
            if found is not None:
                raise _RefusedError(found) from None
        raise
    found = forbidden(_functions(unit))
    if found is not None:
        raise _RefusedError(found)
    network: nn.Module = wrap_cpp_module(module)
    return network


def _functions(unit: Any) -> Any:
    return unit.get_functions()


def _bound(header: dict[str, Any]) -> None:
    """Memory that the network asks for beyond this fails at once; casewise looks at what it holds besides."""
    if sys.platform != "linux" or not header.get("memory"):
        return
    import resource

    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_DATA, (header["memory"], hard))
