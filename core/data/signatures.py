"""What a file is by its first bytes, whatever it is called."""

from __future__ import annotations

#: Bytes that tell enough: a tar archive says what it is at byte 257.
SIGNATURE_BYTES = 265
#: Where they begin, and what they mean. Sources: the formats' own specifications, and the
#: table of file(1).
_COMPRESSED: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x1f\x8b", "gzip"),
    (0, b"\x1f\x9d", "compress"),
    (0, b"\x1f\xa0", "compress"),
    (0, b"PK\x03\x04", "zip"),
    (0, b"PK\x05\x06", "zip"),
    (0, b"PK\x07\x08", "zip"),
    (0, b"BZh", "bzip2"),
    (0, b"\xfd7zXZ\x00", "xz"),
    (0, b"\x5d\x00\x00", "lzma"),
    (0, b"LZIP\x01", "lzip"),
    (0, b"\x28\xb5\x2f\xfd", "zstd"),
    (0, b"7z\xbc\xaf\x27\x1c", "7z"),
    (0, b"\x04\x22\x4d\x18", "lz4"),
    (0, b"\xff\x06\x00\x00sNaPpY", "snappy"),
    (0, b"Rar!\x1a\x07", "rar"),
    (0, b"MSCF\x00\x00\x00\x00", "cab"),
    (257, b"ustar\x00", "tar"),
    (257, b"ustar  \x00", "tar"),
)
#: Frames that may stand before one of zstd or lz4 and hold anything (RFC 8878, 3.1.2).
_SKIPPABLE = tuple(bytes((number, 0x2A, 0x4D, 0x18)) for number in range(0x50, 0x60))
#: A block of bzip2 begins with the digits of pi, an empty file with those of its square root.
_BZIP2_BLOCKS = (b"1AY&SY", b"\x17rE8P\x90")


def compressed_as(head: bytes) -> str | None:
    """How a file is packed whose first ``SIGNATURE_BYTES`` bytes or more are ``head``."""
    if head.startswith(_SKIPPABLE):
        return "zstd"
    for at, magic, kind in _COMPRESSED:
        if head.startswith(magic, at) and (kind != "bzip2" or head[4:10] in _BZIP2_BLOCKS):
            return kind
    return None
