"""A stack of LSTM layers and a fully connected head, recognised in a PyTorch `state_dict` by its tensors' names.

A `state_dict` says which parameters there are, not what is done with them. Read here are the names that `nn.LSTM`
and `nn.Linear` give; modules are taken to run in file order, one after the other, with no activation between two
Linear modules. What a name or a shape shows to be anything else is refused; no tensor is left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from accelsim.errors import InputError, UnsupportedOperatorError
from accelsim.frontend.pth import read_state_dict
from accelsim.graph.check import check_graph
from accelsim.graph.model import FloatArray, Gate, Graph, Layer, Linear, Lstm, SelectStep, Tensor

_RECURRENT = re.compile(r"(?P<prefix>(?:.*\.)?)(?P<what>(?:weight|bias)_(?:ih|hh|hr))_l(?P<index>\d{1,4})(?P<rest>.*)")
_LINEAR = re.compile(r"(?P<prefix>(?:.*\.)?)(?P<what>weight|bias)")
_WRAPPERS = ("module.", "_orig_mod.")
"""What `nn.DataParallel` and `torch.compile` put before every name."""
_GATES_BY_OPERATOR = {"LSTM": 4, "GRU": 3, "RNN": 1}
_TORCH_GATES = (Gate.INPUT, Gate.FORGET, Gate.CELL, Gate.OUTPUT)
"""The order of PyTorch's rows. Source: `torch.nn.LSTM`, "weight_ih_l[k]: (W_ii|W_if|W_ig|W_io)"."""


@dataclass
class _Module:
    """The tensors of one `nn.LSTM` (by layer index and role) or `nn.Linear` (index 0)."""

    prefix: str
    recurrent: bool
    layers: dict[int, dict[str, FloatArray]] = field(default_factory=dict)


def load_pytorch(
    path: str | Path, *, timesteps: int, head: Literal["last", "all"] = "last", name: str | None = None
) -> Graph:
    """Read a model of stacked LSTM layers and Linear layers from a PyTorch `state_dict` file.

    Parameters
    ----------
    path : str or Path
    timesteps : int
        T, the length of a frame, which the file does not say.
    head : {"last", "all"}
        Whether the Linear layers see the last time step only, or each one.
    name : str, optional
        The graph's name; the file's by default.

    Returns
    -------
    Graph
        From "input" float32[T, F] to "output" float32[F'] or float32[T, F'].

    Raises
    ------
    InputError
        If the file can't be read, a tensor has no place in such a model, or shapes disagree.
    UnsupportedOperatorError
        If it holds a GRU, a vanilla RNN, a bidirectional LSTM or one with projections.
    """
    if type(timesteps) is not int or timesteps < 1:
        raise InputError(path, "timesteps", repr(timesteps), "an integer of at least 1")
    if head not in ("last", "all"):
        raise InputError(path, "head", repr(head), "'last' or 'all'")
    modules = _modules(path, _unwrapped(read_state_dict(path)))
    layers: list[Layer] = []
    first = modules[0].layers[min(modules[0].layers)]["weight_ih"]
    tensor = graph_input = Tensor("input", (timesteps, int(first.shape[1])))
    linears = [module for module in modules if not module.recurrent]
    for module in modules:
        if module.recurrent:
            for index in sorted(module.layers):
                layers.append(_lstm(path, module, index, tensor))
                tensor = layers[-1].y
    if head == "last":
        layers.append(SelectStep("last_step", tensor, Tensor("last_step.y", tensor.shape[1:]), timesteps - 1))
        tensor = layers[-1].y
    for module in linears:
        layers.append(_linear(path, module, tensor))
        tensor = layers[-1].y
    layers[-1] = _renamed_output(layers[-1])
    graph = Graph(
        name if name is not None else Path(path).stem, graph_input, layers[-1].y, tuple(layers), source=str(path)
    )
    check_graph(graph)
    return graph


def _renamed_output(layer: Layer) -> Layer:
    y = Tensor("output", layer.y.shape)
    if isinstance(layer, Lstm):
        return Lstm(layer.name, layer.x, y, layer.input_weights, layer.recurrent_weights, layer.bias)
    if isinstance(layer, Linear):
        return Linear(layer.name, layer.x, y, layer.weights, layer.bias)
    return SelectStep(layer.name, layer.x, y, layer.step)


def _unwrapped(tensors: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    unwrapped = dict(tensors)
    while wrapper := next((w for w in _WRAPPERS if all(name.startswith(w) for name in unwrapped)), ""):
        unwrapped = {name[len(wrapper) :]: tensor for name, tensor in unwrapped.items()}
    return unwrapped


def _modules(path: str | Path, tensors: Mapping[str, NDArray[Any]]) -> list[_Module]:
    """The modules in file order: LSTMs, then Linears; every tensor is in one of them."""
    modules: dict[tuple[str, bool], _Module] = {}
    for name, tensor in tensors.items():
        match = _RECURRENT.fullmatch(name)
        recurrent = match is not None
        if match is None:
            match = _LINEAR.fullmatch(name)
        if match is None or (not recurrent and match["what"] == "weight" and tensor.ndim != 2):
            shape = "x".join(map(str, tensor.shape)) or "scalar"
            raise InputError(
                path, f"tensor {name!r} ({shape})", "belongs to no LSTM or Linear layer", "LSTM and Linear layers only"
            )
        if tensor.dtype != np.float32:
            raise InputError(path, f"tensor {name!r}", f"is {tensor.dtype}", "floating point weights")
        if recurrent:
            _refuse_variants(path, match["prefix"], name, match["what"], match["rest"])
        module = modules.setdefault((match["prefix"], recurrent), _Module(match["prefix"], recurrent))
        index = int(match["index"]) if recurrent else 0
        roles = module.layers.setdefault(index, {})
        if match["what"] in roles:
            raise InputError(path, f"tensor {name!r}", "names a layer's tensor a second time", "one name a tensor")
        roles[match["what"]] = tensor
    ordered = list(modules.values())
    if not any(module.recurrent for module in ordered):
        raise InputError(path, "", "no LSTM layer (tensors weight_ih_l0, ...) in the file", "at least one")
    for module in ordered:
        _check_roles(path, module)
    if not ordered[0].recurrent:
        raise InputError(
            path, f"tensor '{ordered[0].prefix}weight'", "a Linear layer before the LSTM layers", "Linear layers last"
        )
    flags = [module.recurrent for module in ordered]
    if flags != sorted(flags, reverse=True):
        between = ordered[flags.index(False)]
        raise InputError(
            path, f"tensor '{between.prefix}weight'", "a Linear layer between LSTM layers", "Linear layers last"
        )
    return ordered


def _refuse_variants(path: str | Path, prefix: str, name: str, what: str, rest: str) -> None:
    node = prefix.rstrip(".")
    if rest.startswith("_reverse"):
        raise UnsupportedOperatorError(path, "LSTM", node, f"bidirectional (tensor {name!r})")
    if what.endswith("_hr"):
        raise UnsupportedOperatorError(path, "LSTM", node, f"projection of the hidden state (tensor {name!r})")
    if rest:
        raise InputError(path, f"tensor {name!r}", "belongs to no LSTM or Linear layer", "LSTM and Linear layers only")


def _check_roles(path: str | Path, module: _Module) -> None:
    """Each layer has its weights, and both biases or none; indices have no gap."""
    for position, index in enumerate(sorted(module.layers)):
        if index != position:
            raise InputError(path, f"tensor '{module.prefix}weight_ih_l{position}'", "is missing")
        roles = module.layers[index]
        suffix = f"_l{index}" if module.recurrent else ""
        needed = ["weight_ih", "weight_hh"] if module.recurrent else ["weight"]
        if module.recurrent and ("bias_ih" in roles or "bias_hh" in roles):
            needed += ["bias_ih", "bias_hh"]
        for role in needed:
            if role not in roles:
                raise InputError(path, f"tensor '{module.prefix}{role}{suffix}'", "is missing")


def _lstm(path: str | Path, module: _Module, index: int, x: Tensor) -> Lstm:
    roles = module.layers[index]
    input_weights, recurrent_weights = roles["weight_ih"], roles["weight_hh"]

    def label(role: str) -> str:
        return f"tensor '{module.prefix}{role}_l{index}'"

    for role in ("weight_ih", "weight_hh"):
        if roles[role].ndim != 2:
            raise InputError(path, label(role), f"has shape {roles[role].shape}", "a matrix")
    rows, units = int(input_weights.shape[0]), int(recurrent_weights.shape[1])
    for operator, gates in _GATES_BY_OPERATOR.items():
        if rows == gates * units and operator != "LSTM":
            raise UnsupportedOperatorError(
                path, operator, module.prefix.rstrip("."), f"{label('weight_ih')} has {gates} x {units} rows"
            )
    _check_shape(path, label("weight_hh"), recurrent_weights, (4 * units, units))
    _check_shape(path, label("weight_ih"), input_weights, (4 * units, x.features))
    bias = np.zeros(4 * units, np.float32)
    for role in ("bias_ih", "bias_hh"):
        if role in roles:
            _check_shape(path, label(role), roles[role], (4 * units,))
            bias = bias + roles[role]
    order = np.argsort(_TORCH_GATES)
    layer_name = f"{module.prefix}l{index}"
    return Lstm(
        layer_name,
        x,
        Tensor(f"{layer_name}.y", (x.shape[0], units)),
        input_weights.reshape(4, units, -1)[order],
        recurrent_weights.reshape(4, units, units)[order],
        bias.reshape(4, units)[order],
    )


def _linear(path: str | Path, module: _Module, x: Tensor) -> Linear:
    weights = module.layers[0]["weight"]
    outputs = int(weights.shape[0])
    _check_shape(path, f"tensor '{module.prefix}weight'", weights, (outputs, x.features))
    bias = module.layers[0].get("bias", np.zeros(outputs, np.float32))
    _check_shape(path, f"tensor '{module.prefix}bias'", bias, (outputs,))
    layer_name = module.prefix.rstrip(".") or "linear"
    return Linear(layer_name, x, Tensor(f"{layer_name}.y", (*x.shape[:-1], outputs)), weights, bias)


def _check_shape(path: str | Path, label: str, tensor: FloatArray, shape: tuple[int, ...]) -> None:
    if tensor.shape != shape:
        raise InputError(path, label, f"has shape {tensor.shape}", f"{shape}")
