"""A number for each row by which choices are made that nothing but its id decides."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

_U64 = np.uint64


def row_hashes(stream: str, row_ids: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    """Hashes row ids to 64 bits each, evenly spread.

    By SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators",
    OOPSLA 2014), begun at a hash of ``stream``. Two ids of one stream never share a hash,
    since every step can be undone.

    Args:
        stream: what the choice is for; others give hashes that have nothing to do with these.
        row_ids: shape (rows,).

    Returns:
        Shape (rows,).
    """
    begin = hashlib.blake2b(stream.encode(), digest_size=8).digest()
    # Arithmetic on uint64 arrays wraps, as the generator wants.
    state = _U64(int.from_bytes(begin, "little")) + (row_ids.astype(_U64) + _U64(1)) * _U64(
        0x9E3779B97F4A7C15
    )
    state = (state ^ (state >> _U64(30))) * _U64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> _U64(27))) * _U64(0x94D049BB133111EB)
    hashes: npt.NDArray[np.uint64] = state ^ (state >> _U64(31))
    return hashes
