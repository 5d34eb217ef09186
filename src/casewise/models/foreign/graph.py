"""What the graph of a TorchScript file does, checked node by node against what a network may do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from casewise.models.foreign.operators import OPERATORS

_OBJECTS = "__torch__.torch.classes."  # made by libraries and not by the file; their methods are no graph
_PACKED = f"{_OBJECTS}quantized."


def forbidden(functions: Iterable[Any]) -> str | None:
    """The first thing of all compiled functions that a network may not do, as a clause; None where there is none.

    functions : all of a compilation unit: methods of modules, submodules and classes, those that are called by none, and those that
    loading itself calls (``__setstate__``).
    """
    for function in functions:
        for node in _nodes(function.graph):
            found = _forbidden(node)
            if found is not None:
                return f"its {function.qualified_name.removeprefix('__torch__.')} {found}"
    return None


def _forbidden(node: Any) -> str | None:
    kind = node.kind()
    if kind not in OPERATORS:
        return f"uses {kind}, which is not among the operators that networks compute with"
    if kind == "prim::CallMethod":
        owner = next(iter(node.inputs())).type().str()
        if _OBJECTS in owner and not owner.startswith(_PACKED):
            return f"calls a method of {owner}, which is not part of the file"
    return None


def _nodes(block: Any) -> Iterator[Any]:
    """All nodes of a graph: of its blocks, and of the graphs that nodes hold, to any depth."""
    waiting = [block]
    while waiting:
        for node in waiting.pop().nodes():
            yield node
            waiting += node.blocks()
            for name in node.attributeNames():
                kind = node.kindOf(name)
                if kind == "g":
                    waiting.append(node.g(name))
                elif kind == "gs":
                    waiting += node.gs(name)
