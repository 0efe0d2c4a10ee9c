"""Random numbers by sample: what a sample meets depends on its id, never on who else is in the batch."""

import hashlib

import torch
from torch import Tensor

_GOLDEN = 0x9E3779B97F4A7C15 - 2**64
_MIX = (0xBF58476D1CE4E5B9 - 2**64, 0x94D049BB133111EB - 2**64)


def uniform(key: int, ids: Tensor, n: int) -> Tensor:
    """(len(ids), n) float32 in [0, 1) for sample ``ids`` ((b,) int64) in the stream ``key``.

    SplitMix64 (Steele et al., OOPSLA 2014) evaluated at a counter, so the same sample gets the
    same numbers whatever the order, the rank or the device.
    """
    column = torch.arange(1, n + 1, device=ids.device)
    state = _mix(ids * _GOLDEN + key)[:, None] + column * _GOLDEN
    return _shift(_mix(state), 40).float() / 2**24


def sample_seed(key: int, sample: int) -> int:
    """A 63-bit seed that belongs to one sample in the stream ``key``."""
    return int(_mix(torch.tensor([sample]) * _GOLDEN + key)) & (2**63 - 1)


def salted(key: int, purpose: str) -> int:
    """The key of a stream of its own for one purpose, so that a crop and a flip share no numbers."""
    digest = hashlib.blake2b(purpose.encode(), digest_size=8).digest()
    return key ^ int.from_bytes(digest, "big") >> 1


def _mix(z: Tensor) -> Tensor:
    z = (z ^ _shift(z, 30)) * _MIX[0]
    z = (z ^ _shift(z, 27)) * _MIX[1]
    return z ^ _shift(z, 31)


def _shift(z: Tensor, bits: int) -> Tensor:
    """Logical right shift of int64, which torch shifts arithmetically."""
    return (z >> bits) & ((1 << (64 - bits)) - 1)
