"""Random streams by name: each draw belongs to a key, never to who drew before."""

import hashlib

import torch

Part = str | int


def stream(*parts: Part) -> int:
    """A 63-bit seed for the stream named by ``parts``: ``stream(seed, "plan", "train", 3)``."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def generator(*parts: Part, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator at the start of the stream named by ``parts``."""
    return torch.Generator(device).manual_seed(stream(*parts))
