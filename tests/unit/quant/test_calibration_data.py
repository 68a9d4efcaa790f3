"""Frames from files: what is read, and what is refused with one line."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accelsim.errors import InputError
from accelsim.quant.calibration_data import load_frames

FRAMES = np.random.default_rng(0).normal(size=(6, 5, 4)).astype(np.float32)


def refused(path: Path, *patterns: str, **options: object) -> None:
    with pytest.raises(InputError) as caught:
        load_frames(path, **options)  # type: ignore[call-overload]
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith(str(path))
    for pattern in patterns:
        assert pattern in text


def test_npz_prefers_features(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", labels=np.arange(6), features=FRAMES)
    np.testing.assert_array_equal(load_frames(tmp_path / "a.npz"), FRAMES)


def test_npz_takes_its_only_array(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", FRAMES)
    np.testing.assert_array_equal(load_frames(tmp_path / "a.npz"), FRAMES)


def test_npz_by_key(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", features=FRAMES, other=FRAMES + 1)
    np.testing.assert_array_equal(load_frames(tmp_path / "a.npz", key="other"), FRAMES + 1)
    refused(tmp_path / "a.npz", "key: no array 'third'", "one of: features, other", key="third")


def test_npz_with_several_arrays_needs_a_key(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", one=FRAMES, two=FRAMES)
    refused(tmp_path / "a.npz", "no array 'features' and not exactly one array", "one, two")


def test_npz_without_arrays(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz")
    refused(tmp_path / "a.npz", "nothing")


@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_in_either_memory_order(tmp_path: Path, order: str) -> None:
    np.save(tmp_path / "a.npy", np.asarray(FRAMES, order=order))  # type: ignore[call-overload]
    np.testing.assert_array_equal(load_frames(tmp_path / "a.npy"), FRAMES)


def test_float32_of_the_other_byte_order(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", FRAMES.astype(">f4"))
    loaded = load_frames(tmp_path / "a.npy")
    assert loaded.dtype == np.float32
    assert loaded.dtype.isnative
    np.testing.assert_array_equal(loaded, FRAMES)


def test_raw_floats(tmp_path: Path) -> None:
    FRAMES.astype("<f4").tofile(tmp_path / "a.bin")
    np.testing.assert_array_equal(load_frames(tmp_path / "a.bin", frame_shape=(5, 4)), FRAMES)
    refused(tmp_path / "a.bin", "frame shape", "no header")
    refused(tmp_path / "a.bin", "480 bytes", "a multiple of 84 (frames of 7x3 float32)", frame_shape=(7, 3))


@pytest.mark.parametrize("size", [0, 3, 79])
def test_truncated_raw_floats(tmp_path: Path, size: int) -> None:
    (tmp_path / "a.bin").write_bytes(FRAMES.tobytes()[:size])
    refused(tmp_path / "a.bin", f"{size} bytes", frame_shape=(5, 4))


def test_raw_frame_of_no_size(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"1234")
    refused(tmp_path / "a.bin", "4 bytes", frame_shape=(0, 4))


def test_int8_only_where_allowed(tmp_path: Path) -> None:
    quantized = np.arange(-60, 60, dtype=np.int8).reshape(6, 5, 4)
    np.save(tmp_path / "a.npy", quantized)
    loaded = load_frames(tmp_path / "a.npy", allow_int8=True)
    assert loaded.dtype == np.int8
    np.testing.assert_array_equal(loaded, quantized)
    refused(tmp_path / "a.npy", "type int8; expected float32")


@pytest.mark.parametrize("dtype", ["<f8", ">f8", "<f2", "int16", "int64", "uint8", "bool", "complex64", "U4"])
def test_other_types_are_refused(tmp_path: Path, dtype: str) -> None:
    np.save(tmp_path / "a.npy", np.zeros((2, 3), dtype))
    refused(tmp_path / "a.npy", f"type {np.dtype(dtype)}; expected float32 or int8", allow_int8=True)
    refused(tmp_path / "a.npy", f"type {np.dtype(dtype)}; expected float32")


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
def test_pickled_objects_are_never_opened(tmp_path: Path, name: str) -> None:
    trap = tmp_path / "ran"

    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(trap),)

    array = np.array([Trap()], dtype=object)
    if name == "a.npy":
        np.save(tmp_path / name, array, allow_pickle=True)
    else:
        np.savez(tmp_path / name, features=array)
    refused(tmp_path / name, "pickled Python objects")
    assert not trap.exists()


@pytest.mark.parametrize("name", ["data.pkl", "data.pickle", "DATA.PKL"])
def test_pickles_are_refused_by_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(pickle.dumps([1]))
    refused(tmp_path / name, "pickle", "numpy.savez", ".npz")


def test_missing_directory_and_unknown_suffix(tmp_path: Path) -> None:
    refused(tmp_path / "none.npz", "no such file")
    for name in ("dir.npy", "dir.npz"):
        (tmp_path / name).mkdir()
        refused(tmp_path / name, "is a directory")
    (tmp_path / "a.txt").write_text("1 2 3")
    refused(tmp_path / "a.txt", "suffix '.txt'", ".npz, .npy or .bin")


def test_any_other_failure_of_the_system_is_told(tmp_path: Path) -> None:
    refused(tmp_path / ("x" * 300 + ".npy"), "can't be read")


def test_a_key_needs_an_npz(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", FRAMES)
    refused(tmp_path / "a.npy", "'features' given for a .npy file", key="features")


def test_shapes(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, FRAMES)
    assert load_frames(path, frame_shape=(5, 4)).shape == (6, 5, 4)
    refused(path, "shape [6, 5, 4]", "[N, 4, 5]", frame_shape=(4, 5))
    np.save(path, FRAMES[0, 0])
    refused(path, "shape [4]", "a leading frame axis")
    np.save(path, np.float32(1))
    refused(path, "shape []", "a leading frame axis")
    np.save(path, FRAMES[:0])
    refused(path, "no values (shape [0, 5, 4])")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("suffix", [".npy", ".npz", ".bin"])
def test_the_first_value_that_is_no_number_is_named(tmp_path: Path, value: float, suffix: str) -> None:
    bad = FRAMES.copy()
    bad[2, 3, 1] = bad[5, 0, 0] = value
    path = tmp_path / f"a{suffix}"
    if suffix == ".npy":
        np.save(path, bad)
    elif suffix == ".npz":
        np.savez(path, features=bad)
    else:
        bad.tofile(path)
    refused(path, f"{np.float32(value)} at index [2, 3, 1] (2 in all)", frame_shape=(5, 4))


def npy_bytes() -> bytes:
    stream = io.BytesIO()
    np.save(stream, FRAMES)
    return stream.getvalue()


def npz_bytes() -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, features=FRAMES)
    return stream.getvalue()


@pytest.mark.parametrize("extra", [-1, 1, -200, 7])
def test_npy_of_another_length(tmp_path: Path, extra: int) -> None:
    data = npy_bytes()
    (tmp_path / "a.npy").write_bytes(data[:extra] if extra < 0 else data + bytes(extra))
    refused(tmp_path / "a.npy", f"{480 + extra} bytes of values", "480 for float32 [6, 5, 4]")


def test_npy_of_a_version_nobody_needs(tmp_path: Path) -> None:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, FRAMES, version=(3, 0))
    (tmp_path / "a.npy").write_bytes(stream.getvalue())
    refused(tmp_path / "a.npy", "format version (3, 0)")


def test_npz_whose_directory_lies_about_the_size(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("features.npy", npy_bytes()[:-8])
    refused(tmp_path / "a.npz", "features: 472 bytes of values", "480 for float32 [6, 5, 4]")


def test_npz_whose_array_ends_before_its_size(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("features.npy", npy_bytes()[:-8])
    data = bytearray(stream.getvalue())
    # The uncompressed size in the central directory, which no checksum covers.
    at = data.index(b"PK\x01\x02") + 24
    data[at : at + 4] = len(npy_bytes()).to_bytes(4, "little")
    (tmp_path / "a.npz").write_bytes(data)
    refused(tmp_path / "a.npz", "features: 472 bytes of values; expected 480, as the file's directory says")


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_damage_of_an_array_that_is_not_read(tmp_path: Path, compression: int) -> None:
    labels = io.BytesIO()
    np.save(labels, np.arange(6))
    with zipfile.ZipFile(tmp_path / "a.npz", "w", compression) as archive:
        archive.writestr("labels.npy", labels.getvalue())
        archive.writestr("features.npy", npy_bytes())
        first = archive.getinfo("labels.npy")
    assert load_frames(tmp_path / "a.npz").shape == (6, 5, 4)
    data = bytearray((tmp_path / "a.npz").read_bytes())
    data[first.header_offset + 30 + len(first.filename) + first.compress_size - 3] ^= 4
    (tmp_path / "a.npz").write_bytes(data)
    refused(tmp_path / "a.npz", "labels: damaged", "expected an array with the checksum it was saved with")


NPZ, NPY = npz_bytes(), npy_bytes()
fuzz = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@fuzz
@given(length=st.integers(0, len(NPZ) - 1))
def test_truncated_npz(tmp_path: Path, length: int) -> None:
    (tmp_path / "a.npz").write_bytes(NPZ[:length])
    refused(tmp_path / "a.npz")


@fuzz
@given(length=st.integers(0, len(NPY) - 1))
def test_truncated_npy(tmp_path: Path, length: int) -> None:
    (tmp_path / "a.npy").write_bytes(NPY[:length])
    refused(tmp_path / "a.npy")


@fuzz
@given(bit=st.integers(0, 8 * len(NPZ) - 1))
def test_a_flipped_bit_in_an_npz_is_refused_or_harmless(tmp_path: Path, bit: int) -> None:
    data = bytearray(NPZ)
    data[bit // 8] ^= 1 << bit % 8
    (tmp_path / "a.npz").write_bytes(data)
    try:
        loaded = load_frames(tmp_path / "a.npz")
    except InputError as error:
        assert "\n" not in str(error)  # noqa: PT017 - either outcome is right
    else:
        np.testing.assert_array_equal(loaded, FRAMES)


@fuzz
@given(bit=st.integers(0, 8 * 128 - 1))
def test_a_flipped_bit_in_an_npy_header_raises_nothing_else(tmp_path: Path, bit: int) -> None:
    data = bytearray(NPY)
    data[bit // 8] ^= 1 << bit % 8
    (tmp_path / "a.npy").write_bytes(data)
    try:
        loaded = load_frames(tmp_path / "a.npy", frame_shape=(5, 4))
    except InputError as error:
        assert "\n" not in str(error)  # noqa: PT017 - either outcome is right
    else:
        assert loaded.shape == FRAMES.shape


@fuzz
@given(data=st.binary(max_size=300), suffix=st.sampled_from([".npz", ".npy"]), head=st.sampled_from([b"", NPY[:10]]))
def test_noise_is_refused(tmp_path: Path, data: bytes, suffix: str, head: bytes) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(head + data)
    refused(path)
