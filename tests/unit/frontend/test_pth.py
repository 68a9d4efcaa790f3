"""The reader of PyTorch weight files: what it reads, and that anything else is one clear line."""

from __future__ import annotations

import io
import pickle
import struct
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accelsim.errors import InputError
from accelsim.frontend.pth import read_state_dict
from tests.support import pth_files as files

TENSORS = {
    "a.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "a.bias": np.array([0.5, -2], np.float32),
    "count": np.array(7, np.int64),
}
CONTAINERS = pytest.mark.parametrize("legacy", [True, False], ids=["legacy", "zip"])
ONE_FLOAT = {"0": (1, struct.pack("<f", 1.5))}


def written(folder: Path, data: bytes) -> Path:
    path = folder / "weights.pth"
    path.write_bytes(data)
    return path


def refusal(path: Path) -> str:
    """The text of the error, which is one line."""
    with pytest.raises(InputError) as caught:
        read_state_dict(path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(path))
    return str(caught.value)


def one_tensor(description: bytes, storages: Any = ONE_FLOAT) -> bytes:
    return files.legacy_bytes(files.state_dict({"w": description}), storages)


@CONTAINERS
def test_reads_names_shapes_and_values_in_file_order(tmp_path: Path, legacy: bool) -> None:
    found = read_state_dict(written(tmp_path, files.file_of(TENSORS, legacy)))
    assert list(found) == list(TENSORS)
    for name, array in TENSORS.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype
        assert found[name].flags.writeable


@pytest.mark.parametrize("dtype", [np.float64, np.float16])
def test_other_floats_become_float32(tmp_path: Path, dtype: Any) -> None:
    values = np.array([1.5, -0.25, 100], dtype)
    found = read_state_dict(written(tmp_path, files.file_of({"w": values})))["w"]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, values)


def test_bfloat16_becomes_float32(tmp_path: Path) -> None:
    values = np.array([[1.5, -0.25], [3e38, 1e-38]], np.float32)
    halves = (values.view(np.uint32) >> 16).astype("<u2")
    identity = files.storage_identity("0", "BFloat16Storage", 4)
    data = one_tensor(files.tensor(identity, (2, 2), (1, 2)), {"0": (4, halves.tobytes())})
    found = read_state_dict(written(tmp_path, data))["w"]
    # The strides ask for the transpose.
    np.testing.assert_array_equal(found, (values.view(np.uint32) & 0xFFFF0000).view(np.float32).T)


def test_tensors_may_be_windows_of_one_storage(tmp_path: Path) -> None:
    identity = files.storage_identity("0", "FloatStorage", 6)
    entries = {"a": files.tensor(identity, (3,), (1,)), "b": files.tensor(identity, (3, 1), (1, 2**61), offset=3)}
    data = files.legacy_bytes(files.state_dict(entries), {"0": (6, np.arange(6, dtype="<f4").tobytes())})
    found = read_state_dict(written(tmp_path, data))
    np.testing.assert_array_equal(found["a"], [0, 1, 2])
    np.testing.assert_array_equal(found["b"], [[3], [4], [5]])


@pytest.mark.parametrize(
    ("shape", "strides", "offset", "expected"),
    [
        ((2, 3), (1, 2), 0, [[0, 2, 4], [1, 3, 5]]),
        ((2, 2), (3, 1), 1, [[1, 2], [4, 5]]),
        ((2, 3), (0, 1), 3, [[3, 4, 5], [3, 4, 5]]),
        ((3, 2), (1, 0), 0, [[0, 0], [1, 1], [2, 2]]),
        ((4, 3), (1, 1), 0, [[0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5]]),
        ((9,), (0,), 5, [5] * 9),
    ],
    ids=["transposed", "narrow", "expanded", "expanded inside", "overlapping", "more elements than stored"],
)
def test_strides_that_torch_saves(
    tmp_path: Path, shape: tuple[int, ...], strides: tuple[int, ...], offset: int, expected: list[Any]
) -> None:
    """A view is saved as its strides and the whole storage: whatever stays within that has values."""
    described = files.tensor(files.storage_identity("0", "FloatStorage", 6), shape, strides, offset=offset)
    data = one_tensor(described, {"0": (6, np.arange(6, dtype="<f4").tobytes())})
    assert read_state_dict(written(tmp_path, data))["w"].tolist() == expected


def test_large_tensors_may_share_a_storage(tmp_path: Path) -> None:
    """Tied weights: as many times as the limit says, and no more."""
    size = 2**22 + 1
    identity = files.storage_identity("0", "CharStorage", size)
    for times in (4, 5):
        entries = {str(index): files.tensor(identity, (size,), (1,)) for index in range(times)}
        path = written(tmp_path, files.legacy_bytes(files.state_dict(entries), {"0": (size, bytes(size))}))
        if times == 4:
            assert len(read_state_dict(path)) == 4
        else:
            assert "its tensors have 20,971,525 elements, its storages 4,194,305" in refusal(path)


def test_parameters_are_tensors(tmp_path: Path) -> None:
    inner = files.tensor(files.storage_identity("0", "FloatStorage", 1), (1,), (1,))
    wrapped = (
        files.named("torch._utils", "_rebuild_parameter") + b"(" + inner + b"\x88" + files.EMPTY_ORDERED_DICT + b"tR"
    )
    assert read_state_dict(written(tmp_path, one_tensor(wrapped)))["w"].tolist() == [1.5]


def test_missing_directory_and_empty(tmp_path: Path) -> None:
    assert "can't be read (No such file" in refusal(tmp_path / "none.pth")
    assert "can't be read (Is a directory" in refusal(tmp_path)
    assert "the file is empty" in refusal(written(tmp_path, b""))


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"hello world", "neither a zip archive nor a pickle"),
        (pickle.dumps([1, 2], 2), "magic number"),
        (pickle.dumps(files.MAGIC, 2) + pickle.dumps(1002, 2), "protocol version"),
        (
            pickle.dumps(files.MAGIC, 2) + pickle.dumps(1001, 2) + pickle.dumps({"little_endian": False}, 2),
            "little-endian",
        ),
        (files.legacy_bytes(pickle.dumps([1], 2), {}), "holds a list"),
        (files.legacy_bytes(pickle.dumps({1: 2}, 2), {}), "a key is 1"),
        (files.legacy_bytes(pickle.dumps({"epoch": 3}, 2), {}), "entry 'epoch': is a int, not a tensor"),
        (files.legacy_bytes(files.state_dict({}), {}), "holds no tensor"),
        (files.file_of(TENSORS) + b"!", "1 bytes after the last storage"),
        (files.file_of(TENSORS)[:-1], "truncated"),
    ],
)
def test_not_a_state_dict(tmp_path: Path, data: bytes, text: str) -> None:
    assert text in refusal(written(tmp_path, data))


FLOAT = files.storage_identity("0", "FloatStorage", 1)


@pytest.mark.parametrize(
    ("description", "text"),
    [
        (files.tensor(FLOAT, (2,), (1,)), "exceed storage '0'"),
        (files.tensor(FLOAT, (1,), (1,), offset=1), "exceed storage '0'"),
        (files.tensor(FLOAT, (2, 3), (0, 1)), "exceed storage '0'"),
        (files.tensor(FLOAT, (2**24 + 1,), (0,)), "16,777,217 elements, its storages 1; expected at most 4 times"),
        (files.tensor(FLOAT, (2**61,) * 8, (0,) * 8), "elements, its storages 1; expected at most 4 times"),
        (files.tensor(FLOAT, (0,), (1,)), "is empty"),
        (files.tensor(FLOAT, (1,), (1, 1)), "shape and strides do not match"),
        (files.tensor(FLOAT, (1,) * 9, (1,) * 9), "shape and strides do not match"),
        (files.tensor(FLOAT, (-1,), (1,)), "no counts"),
        (files.tensor(FLOAT, (1,), (-1,)), "no counts"),
        (files.tensor(FLOAT, (1,), (1,), offset=2**63), "no counts"),
        (files.named("torch._utils", "_rebuild_tensor_v2") + b")R", "wrong arguments"),
        (files.named("torch._utils", "_rebuild_parameter") + b")R", "wrong arguments"),
        (files.named("collections", "OrderedDict") + b"K\x01\x85R", "built with arguments"),
        (files.tensor(b"(tQ", (1,), (1,)), "not described as one"),
        (files.tensor(files.storage_identity("0", "FloatStorage", -1), (1,), (1,)), "wrong types"),
        (files.tensor(FLOAT.replace(b"NtQ", b"K\x01tQ"), (1,), (1,)), "is a view of another"),
        (files.tensor(files.storage_identity("0", "ComplexFloatStorage", 1), (1,), (1,)), "ComplexFloatStorage"),
        (b"\x8c\x02os\x8c\x06system\x93", "os.system"),
        (files.named("os", "system") + files.text("true") + b"\x85R", "os.system"),
        (files.named("__main__", "Net") + b")R", "__main__.Net"),
    ],
)
def test_a_tensor_that_is_described_wrongly(tmp_path: Path, description: bytes, text: str) -> None:
    assert text in refusal(written(tmp_path, one_tensor(description)))


def test_storage_described_in_two_ways(tmp_path: Path) -> None:
    other = files.storage_identity("0", "DoubleStorage", 1)
    entries = {"a": files.tensor(FLOAT, (1,), (1,)), "b": files.tensor(other, (1,), (1,))}
    assert "in two ways" in refusal(written(tmp_path, files.legacy_bytes(files.state_dict(entries), ONE_FLOAT)))


@pytest.mark.parametrize(
    ("storages", "text"),
    [
        ({}, "storage list"),
        ({"0": ONE_FLOAT["0"], "1": ONE_FLOAT["0"]}, "storage list"),
        ({"0": (2, ONE_FLOAT["0"][1])}, "2 elements; expected 1"),
    ],
)
def test_legacy_storages_must_be_those_of_the_tensors(tmp_path: Path, storages: Any, text: str) -> None:
    assert text in refusal(written(tmp_path, one_tensor(files.tensor(FLOAT, (1,), (1,)), storages)))


def test_legacy_storage_list_of_wrong_type(tmp_path: Path) -> None:
    good = one_tensor(files.tensor(FLOAT, (1,), (1,)))
    listed = pickle.dumps(["0"], protocol=2)
    assert "no list of keys" in refusal(written(tmp_path, good.replace(listed, pickle.dumps({}, protocol=2))))


@pytest.mark.parametrize("value", [np.nan, np.inf])
@CONTAINERS
def test_weights_that_are_no_numbers(tmp_path: Path, legacy: bool, value: float) -> None:
    data = files.file_of({"w": np.array([1, value], np.float32)}, legacy)
    assert "tensor 'w': holds NaN or infinity" in refusal(written(tmp_path, data))


def test_weights_beyond_float32(tmp_path: Path) -> None:
    assert "holds NaN or infinity" in refusal(written(tmp_path, files.file_of({"w": np.array([1e300])})))


def zipped(**changes: Any) -> bytes:
    """A zip file of one float, changed."""
    pickled = files.state_dict({"w": files.tensor(files.storage_identity("0", "FloatStorage", 1, False), (1,), (1,))})
    storages = changes.pop("storages", {"0": ONE_FLOAT["0"][1]})
    return files.zip_bytes(pickled + changes.pop("tail", b""), storages, **changes)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (zipped(byteorder=b"big"), "'big'; expected 'little'"),
        (zipped(**{"constants.pkl": b""}), "TorchScript"),
        (zipped(storages={}), "storage '0': is missing"),
        (zipped(storages={"0": b"123"}), "3 bytes; expected 4 bytes"),
        (zipped(storages={"0": b"1234", "1": b""}), "storage '1': belongs to no tensor"),
        (zipped(tail=b"!!"), "2 bytes follow it"),
        (zipped()[:-30], "zip archive is damaged"),
    ],
)
def test_zip_archives_that_do_not_fit(tmp_path: Path, data: bytes, text: str) -> None:
    assert text in refusal(written(tmp_path, data))


def archive(entries: list[tuple[str, bytes]], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as target:
        for name, data in entries:
            target.writestr(name, data)
    return buffer.getvalue()


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_zip_archives_that_torch_does_not_write(tmp_path: Path) -> None:
    assert "no single NAME/data.pkl" in refusal(written(tmp_path, archive([("readme", b"hello")])))
    bomb = archive([("a/data.pkl", bytes(1 << 20))], zipfile.ZIP_DEFLATED)
    assert "is compressed" in refusal(written(tmp_path, bomb))
    assert "stands twice" in refusal(written(tmp_path, archive([("a/data.pkl", b"1"), ("a/data.pkl", b"2")])))


def test_a_changed_byte_of_a_zip_storage_is_seen(tmp_path: Path) -> None:
    data = zipped()
    position = data.index(ONE_FLOAT["0"][1])
    damaged = data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]
    assert "Bad CRC-32" in refusal(written(tmp_path, damaged))


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    data = bytearray(files.file_of(TENSORS, draw(st.booleans())))
    if draw(st.booleans()):
        return bytes(data[: draw(st.integers(0, len(data) - 1))])
    for _ in range(draw(st.integers(1, 3))):
        data[draw(st.integers(0, len(data) - 1))] ^= 1 << draw(st.integers(0, 7))
    return bytes(data)


@settings(max_examples=700, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(damaged())
def test_damage_gives_one_line_or_tensors(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder), data)
        try:
            found = read_state_dict(path)
        except InputError as error:
            text = str(error)
        else:
            text = "read"
            assert all(isinstance(name, str) and isinstance(array, np.ndarray) for name, array in found.items())
    assert "\n" not in text


@pytest.mark.parametrize("zipped_container", [True, False])
def test_views_agree_with_torch(tmp_path: Path, zipped_container: bool) -> None:
    torch = pytest.importorskip("torch")
    whole = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    views = {
        "transposed": whole.t(),
        "narrow": whole.narrow(1, 2, 3),
        "every other": whole[::2, 1::2],
        "row": whole[2],
        "expanded": torch.ones(1, 3).expand(5, 3),
        "windows": torch.arange(6, dtype=torch.float32).unfold(0, 3, 1),
        "whole": whole,
    }
    path = tmp_path / "views.pth"
    torch.save(views, path, _use_new_zipfile_serialization=zipped_container)
    found = read_state_dict(path)
    assert list(found) == list(views)
    for name, tensor in views.items():
        np.testing.assert_array_equal(found[name], tensor.numpy())


def test_agrees_with_torch(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4)).to(torch.bfloat16)
    for zipped_container in (True, False):
        for protocol in (2, 4, 5):
            path = tmp_path / "weights.pth"
            torch.save(
                module.state_dict(),
                path,
                _use_new_zipfile_serialization=zipped_container,
                pickle_protocol=protocol,
            )
            found = read_state_dict(path)
            assert list(found) == list(module.state_dict())
            for name, tensor in module.state_dict().items():
                np.testing.assert_array_equal(found[name], tensor.float().numpy())
