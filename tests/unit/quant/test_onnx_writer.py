"""The quantized ONNX file: reproducible bytes, written whole or not at all."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from accelsim.errors import InputError
from accelsim.quant import onnx_functions
from accelsim.quant.model import QGraph
from accelsim.quant.onnx_writer import BATCH_AXIS, DIGEST_KEY, build_model, content_digest, seal, write_quantized_onnx
from tests.support.quantized_graphs import random_graph, random_tensor, select_step

# What each version of the domain means. A change of a body needs a new version and its digest here.
BODIES = {1: "138d0b49b6c7eb4ab2f88249b32e1118", 2: "baf8c25e896bb770d5aa67c0f571b8cf"}


def small_graph(seed: int = 0) -> QGraph:
    return random_graph(np.random.default_rng(seed), largest=4)


def test_same_graph_same_bytes(tmp_path: Path) -> None:
    for name in ("a.onnx", "b.onnx"):
        write_quantized_onnx(small_graph(), tmp_path / name)
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()
    write_quantized_onnx(small_graph(1), tmp_path / "b.onnx")
    assert (tmp_path / "a.onnx").read_bytes() != (tmp_path / "b.onnx").read_bytes()


def test_nothing_but_the_file_is_left(tmp_path: Path) -> None:
    path = tmp_path / "model_quantize.onnx"
    path.write_bytes(b"what stood there before")
    write_quantized_onnx(small_graph(), str(path))
    assert [entry.name for entry in tmp_path.iterdir()] == ["model_quantize.onnx"]
    assert path.read_bytes()[:1] == b"\x08"


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"missing/m\.onnx: can't be written: No such file"):
        write_quantized_onnx(small_graph(), tmp_path / "missing" / "m.onnx")
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(InputError, match=r"folder\.onnx: can't be written"):
        write_quantized_onnx(small_graph(), tmp_path / "folder.onnx")
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder.onnx"]


def test_a_bad_graph_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(b"old")
    with pytest.raises(InputError, match=r"m\.onnx: layers: none"):
        write_quantized_onnx(replace(small_graph(), layers=()), path)
    assert path.read_bytes() == b"old"


def test_float_boundary_keeps_names_and_a_free_batch_axis() -> None:
    qgraph = small_graph()
    model = build_model(qgraph, "m")
    for value, tensor in ((model.graph.input[0], qgraph.input), (model.graph.output[0], qgraph.output)):
        assert value.name == tensor.name
        assert value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
        dimensions = value.type.tensor_type.shape.dim
        assert dimensions[0].dim_param == BATCH_AXIS
        assert [dimension.dim_value for dimension in dimensions[1:]] == list(tensor.shape)


def test_tables_are_stored_once() -> None:
    rng = np.random.default_rng(3)
    qgraph = random_graph(rng, most_cells=3)
    while sum(hasattr(layer, "cell_clip") for layer in qgraph.layers) < 3:
        qgraph = random_graph(rng, most_cells=3)
    names = [initializer.name for initializer in build_model(qgraph, "m").graph.initializer]
    assert len(names) == len(set(names))
    assert names.count("activation.sigmoid") == 1


def test_two_values_of_one_name() -> None:
    rng = np.random.default_rng(4)
    source = random_tensor(rng, "x", (2, 3))
    layer = select_step("select", source, 0)
    # "x_int8" is also what the integer form of the input is called.
    layer = replace(layer, y=replace(layer.y, name="x_int8"))
    with pytest.raises(InputError, match=r"name 'x_int8': two values"):
        build_model(QGraph("g", source, layer.y, (layer,)), "m")


def test_the_digest_is_of_the_bytes() -> None:
    content = seal(build_model(small_graph(), "m"))
    (stated,) = [e.value for e in onnx.ModelProto.FromString(content).metadata_props if e.key == DIGEST_KEY]
    assert content.count(stated.encode()) == 1
    assert hashlib.sha256(content.replace(stated.encode(), b"0" * 64)).hexdigest() == stated
    assert content_digest(content, stated) == stated
    # Sealing again replaces the digest instead of adding one.
    assert seal(onnx.ModelProto.FromString(content)) == content


def test_a_body_changes_only_with_the_version() -> None:
    text = "".join(onnx_functions.BODIES)
    found = hashlib.sha256(text.encode()).hexdigest()[:32]
    assert found == BODIES[onnx_functions.DOMAIN_VERSION]


def test_import_is_light() -> None:
    modules = "onnx_functions, onnx_writer, onnx_reader, execute, validate"
    code = (
        f"import sys; from accelsim.quant import {modules}; sys.exit('onnx' in sys.modules or 'numba' in sys.modules)"
    )
    root = Path(__file__).resolve().parents[3]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
