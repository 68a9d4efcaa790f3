"""The `.weight` file: a header and the DRAM image.

| bytes | content |
|---|---|
| 0 to 3 | magic `RNEW` |
| 4 to 7 | version, little-endian unsigned |
| 8 to 15 | length of the payload in bytes, little-endian unsigned |
| 16 to 47 | SHA-256 of the payload |
| 48 to 59 | zero |
| 60 to 63 | CRC-32 (zlib) of bytes 0 to 59, little-endian |
| 64 ... | payload |
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from pathlib import Path

from accelsim.errors import InputError
from accelsim.isa.atomic import read_bytes

MAGIC = b"RNEW"
VERSION = 1

_HEADER = struct.Struct("<4sIQ32s12x")
_CHECKSUM = struct.Struct("<I")
HEADER_BYTES = _HEADER.size + _CHECKSUM.size


def pack_weights(payload: bytes) -> bytes:
    """The content of a `.weight` file."""
    header = _HEADER.pack(MAGIC, VERSION, len(payload), hashlib.sha256(payload).digest())
    return header + _CHECKSUM.pack(zlib.crc32(header)) + payload


def unpack_weights(content: bytes, where: str | Path) -> bytes:
    """The payload of a `.weight` file's content.

    Parameters
    ----------
    content : bytes
    where : str or Path
        Names the file in messages.

    Raises
    ------
    InputError
        Names the part that is wrong: magic, version, header, length or payload.
    """
    if content[: len(MAGIC)] != MAGIC:
        raise InputError(where, "magic", f"found {content[: len(MAGIC)]!r}", f"{MAGIC!r}, a .weight file")
    if len(content) < HEADER_BYTES:
        raise InputError(where, "header", f"found {len(content)} bytes", f"{HEADER_BYTES}")
    header = content[: _HEADER.size]
    _, version, length, digest = _HEADER.unpack(header)
    (checksum,) = _CHECKSUM.unpack(content[_HEADER.size : HEADER_BYTES])
    if zlib.crc32(header) != checksum:
        raise InputError(where, "header checksum", f"found {checksum:08x}", f"{zlib.crc32(header):08x}")
    if version != VERSION:
        raise InputError(where, "version", f"found {version}", f"{VERSION}")
    payload = content[HEADER_BYTES:]
    if len(payload) != length:
        raise InputError(where, "length", f"found {len(payload)} bytes of payload", f"{length}")
    found = hashlib.sha256(payload).hexdigest()
    if found != digest.hex():
        raise InputError(where, "payload SHA-256", f"found {found}", digest.hex())
    if header != _HEADER.pack(MAGIC, VERSION, length, digest):
        raise InputError(where, "header", "bytes 48 to 59 are not zero", "zero")
    return payload


def read_weights(path: Path) -> bytes:
    """The payload of a `.weight` file.

    Raises
    ------
    InputError
        It can't be read, or `unpack_weights` refuses it.
    """
    return unpack_weights(read_bytes(path, "a .weight file"), path)
