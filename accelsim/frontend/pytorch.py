"""A stack of recurrent layers and a fully connected head, recognised in a PyTorch `state_dict` by its tensors' names.

A `state_dict` says which parameters there are, not what is done with them. Read here are the names that `nn.LSTM`,
`nn.GRU`, `nn.RNN` and `nn.Linear` give; modules are taken to run in file order, one after the other, with no
activation between two Linear modules. What a name or a shape shows to be anything else is refused; no tensor is left
out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from accelsim.errors import InputError, UnsupportedOperatorError
from accelsim.frontend.pth import read_state_dict
from accelsim.frontend.pytorch_cells import BIASES, OPERATORS, Direction, check_shape, read_direction
from accelsim.graph.check import check_graph
from accelsim.graph.model import Concat, FloatArray, Graph, Layer, Linear, SelectStep, Tensor

_RECURRENT = re.compile(
    r"(?P<prefix>(?:.*\.)?)(?P<what>(?:weight|bias)_(?:ih|hh|hr))_l(?P<index>\d{1,4})(?P<reverse>_reverse)?(?P<rest>.*)"
)
_LINEAR = re.compile(r"(?P<prefix>(?:.*\.)?)(?P<what>weight|bias)")
_WRAPPERS = ("module.", "_orig_mod.")
"""What `nn.DataParallel` and `torch.compile` put before every name."""
_EXPECTED = "recurrent (LSTM, GRU, RNN) and Linear layers only"

VARIANTS = {
    "lstm": ("LSTM", False),
    "blstm": ("LSTM", True),
    "gru": ("GRU", False),
    "bgru": ("GRU", True),
    "rnn": ("RNN", False),
    "brnn": ("RNN", True),
}
"""Kinds of networks by name: the operator of their recurrent layers, and whether these are bidirectional."""


@dataclass
class _Module:
    """The tensors of one recurrent module, by layer index and role, or of one `nn.Linear`, whose index is 0.

    The roles of the reverse direction end in "_reverse".
    """

    prefix: str
    recurrent: bool
    layers: dict[int, dict[str, FloatArray]] = field(default_factory=dict)

    @property
    def bidirectional(self) -> bool:
        return any(role.endswith("_reverse") for roles in self.layers.values() for role in roles)


def load_pytorch(
    path: str | Path,
    *,
    timesteps: int,
    head: Literal["last", "all"] = "last",
    name: str | None = None,
    variant: str | None = None,
    nonlinearity: Literal["tanh", "relu"] = "tanh",
) -> Graph:
    """Read a model of stacked recurrent layers and Linear layers from a PyTorch `state_dict` file.

    Parameters
    ----------
    path : str or Path
    timesteps : int
        T, the length of a frame, which the file does not say.
    head : {"last", "all"}
        Whether the Linear layers see the last time step only, or each one. Of a bidirectional layer the last time
        step holds the reverse direction's first result, as ``output[:, -1]`` does in PyTorch.
    name : str, optional
        The graph's name; the file's by default.
    variant : str, optional
        The kind of network the file should hold, one of `VARIANTS`; checked against what it does hold.
    nonlinearity : {"tanh", "relu"}
        The activation of `nn.RNN` layers, which the file does not say.

    Returns
    -------
    Graph
        From "input" float32[T, F] to "output" float32[F'] or float32[T, F'].

    Raises
    ------
    InputError
        If the file can't be read, a tensor has no place in such a model, shapes disagree, or it is no `variant`.
    UnsupportedOperatorError
        If it holds an LSTM with projections.
    """
    _check_options(path, timesteps, head, variant, nonlinearity)
    modules = _modules(path, _unwrapped(read_state_dict(path)))
    operators = {module.prefix: _operator(path, module) for module in modules if module.recurrent}
    if variant is not None:
        _check_variant(path, modules, operators, variant)
    if nonlinearity != "tanh" and "RNN" not in operators.values():
        raise InputError(path, "nonlinearity", nonlinearity, "tanh: the file holds no vanilla RNN")
    layers: list[Layer] = []
    first = modules[0].layers[min(modules[0].layers)]["weight_ih"]
    tensor = graph_input = Tensor("input", (timesteps, int(first.shape[1])))
    linears = [module for module in modules if not module.recurrent]
    for module in modules:
        if module.recurrent:
            for index in sorted(module.layers):
                layers += _recurrent(path, module, index, tensor, operators[module.prefix], nonlinearity)
                tensor = layers[-1].y
    if head == "last":
        layers.append(SelectStep("last_step", tensor, Tensor("last_step.y", tensor.shape[1:]), timesteps - 1))
        tensor = layers[-1].y
    for module in linears:
        layers.append(_linear(path, module, tensor))
        tensor = layers[-1].y
    layers[-1] = replace(layers[-1], y=Tensor("output", tensor.shape))
    graph = Graph(
        name if name is not None else Path(path).stem, graph_input, layers[-1].y, tuple(layers), source=str(path)
    )
    check_graph(graph)
    return graph


def _check_options(path: str | Path, timesteps: object, head: str, variant: str | None, nonlinearity: str) -> None:
    if type(timesteps) is not int or timesteps < 1:
        raise InputError(path, "timesteps", repr(timesteps), "an integer of at least 1")
    if head not in ("last", "all"):
        raise InputError(path, "head", repr(head), "'last' or 'all'")
    if variant is not None and variant not in VARIANTS:
        raise InputError(path, "variant", repr(variant), ", ".join(VARIANTS))
    if nonlinearity not in ("tanh", "relu"):
        raise InputError(path, "nonlinearity", repr(nonlinearity), "'tanh' or 'relu'")


def _check_variant(path: str | Path, modules: list[_Module], operators: Mapping[str, str], variant: str) -> None:
    """Refuse a file whose tensors show another kind of network than the one asked for."""
    names = {kind: name for name, kind in VARIANTS.items()}
    for module in modules:
        if module.recurrent:
            found = names[operators[module.prefix], module.bidirectional]
            if found != variant:
                raise InputError(
                    path, f"tensor '{module.prefix}weight_hh_l0'", f"belongs to a {found} network", variant
                )


def _unwrapped(tensors: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    unwrapped = dict(tensors)
    while wrapper := next((w for w in _WRAPPERS if all(name.startswith(w) for name in unwrapped)), ""):
        unwrapped = {name[len(wrapper) :]: tensor for name, tensor in unwrapped.items()}
    return unwrapped


def _modules(path: str | Path, tensors: Mapping[str, NDArray[Any]]) -> list[_Module]:
    """The modules in file order: recurrent ones, then Linears; every tensor is in one of them."""
    modules: dict[tuple[str, bool], _Module] = {}
    for name, tensor in tensors.items():
        match = _RECURRENT.fullmatch(name)
        recurrent = match is not None
        if match is None:
            match = _LINEAR.fullmatch(name)
        if match is None or (not recurrent and match["what"] == "weight" and tensor.ndim != 2):
            shape = "x".join(map(str, tensor.shape)) or "scalar"
            raise InputError(path, f"tensor {name!r} ({shape})", "belongs to no layer of these kinds", _EXPECTED)
        if tensor.dtype != np.float32:
            raise InputError(path, f"tensor {name!r}", f"is {tensor.dtype}", "floating point weights")
        index, role = 0, match["what"]
        if recurrent:
            if match["rest"]:
                raise InputError(path, f"tensor {name!r}", "belongs to no layer of these kinds", _EXPECTED)
            if role == "weight_hr":
                reason = f"projection of the hidden state (tensor {name!r})"
                raise UnsupportedOperatorError(path, "LSTM", match["prefix"].rstrip("."), reason)
            index, role = int(match["index"]), role + (match["reverse"] or "")
        module = modules.setdefault((match["prefix"], recurrent), _Module(match["prefix"], recurrent))
        roles = module.layers.setdefault(index, {})
        if role in roles:
            raise InputError(path, f"tensor {name!r}", "names a layer's tensor a second time", "one name a tensor")
        roles[role] = tensor
    ordered = list(modules.values())
    if not any(module.recurrent for module in ordered):
        raise InputError(path, "", "no recurrent layer (tensors weight_ih_l0, ...) in the file", "at least one")
    for module in ordered:
        _check_roles(path, module)
    flags = [module.recurrent for module in ordered]
    if flags != sorted(flags, reverse=True):
        misplaced = ordered[flags.index(False)]
        found = "a Linear layer between recurrent layers" if flags[0] else "a Linear layer before the recurrent layers"
        raise InputError(path, f"tensor '{misplaced.prefix}weight'", found, "Linear layers last")
    return ordered


def _check_roles(path: str | Path, module: _Module) -> None:
    """Each layer has its weights, both biases or none, and the reverse direction if one has; indices have no gap."""
    directions = ("", "_reverse") if module.bidirectional else ("",)
    for position, index in enumerate(sorted(module.layers)):
        if index != position:
            raise InputError(path, f"tensor '{module.prefix}weight_ih_l{position}'", "is missing")
        roles = module.layers[index]
        needed = ["weight_ih", "weight_hh"] if module.recurrent else ["weight"]
        if module.recurrent and any(bias + direction in roles for bias in BIASES for direction in directions):
            needed += BIASES
        for direction in directions:
            for role in needed:
                if role + direction not in roles:
                    suffix = f"_l{index}{direction}" if module.recurrent else ""
                    raise InputError(path, f"tensor '{module.prefix}{role}{suffix}'", "is missing")


def _operator(path: str | Path, module: _Module) -> str:
    """LSTM, GRU or RNN, by the rows of the first layer's recurrent weights: gates times units."""
    for role in ("weight_ih", "weight_hh"):
        weights = module.layers[0][role]
        if weights.ndim != 2:
            raise InputError(path, f"tensor '{module.prefix}{role}_l0'", f"has shape {weights.shape}", "a matrix")
    rows, units = (int(size) for size in weights.shape)
    for operator, gates in OPERATORS.items():
        if rows == gates * units:
            return operator
    expected = ", ".join(f"{(gates * units, units)} of {operator}" for operator, gates in OPERATORS.items())
    raise InputError(path, f"tensor '{module.prefix}weight_hh_l0'", f"has shape {weights.shape}", expected)


def _recurrent(
    path: str | Path, module: _Module, index: int, x: Tensor, operator: str, nonlinearity: str
) -> list[Layer]:
    """One layer of a recurrent module: one direction, or both and the concatenation of their results."""
    roles, name = module.layers[index], f"{module.prefix}l{index}"
    direction = Direction(path, operator, module.prefix, f"_l{index}", nonlinearity)
    if not module.bidirectional:
        return [read_direction(direction, roles, name, x)]
    one = read_direction(direction, roles, f"{name}.forward", x)
    back = {role.removesuffix("_reverse"): tensor for role, tensor in roles.items() if role.endswith("_reverse")}
    other = read_direction(replace(direction, suffix=f"_l{index}_reverse", reverse=True), back, f"{name}.reverse", x)
    y = Tensor(f"{name}.y", (x.shape[0], one.y.features + other.y.features))
    return [one, other, Concat(f"{name}.concat", (one.y, other.y), y)]


def _linear(path: str | Path, module: _Module, x: Tensor) -> Linear:
    weights = module.layers[0]["weight"]
    outputs = int(weights.shape[0])
    check_shape(path, f"tensor '{module.prefix}weight'", weights, (outputs, x.features))
    bias = module.layers[0].get("bias", np.zeros(outputs, np.float32))
    check_shape(path, f"tensor '{module.prefix}bias'", bias, (outputs,))
    layer_name = module.prefix.rstrip(".") or "linear"
    return Linear(layer_name, x, Tensor(f"{layer_name}.y", (*x.shape[:-1], outputs)), weights, bias)
