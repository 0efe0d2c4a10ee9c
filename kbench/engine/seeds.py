"""Random streams by name, so that no draw depends on earlier draws; digests of what they lead to."""

import hashlib

import torch
from torch import Tensor, nn

from kbench.tasks.workload import Workload

PHASE = "train"  # the phase that counts; every strategy has it


def fingerprint(workload: Workload, weights: nn.Module, seed: int) -> dict[str, str]:
    """Digests of the initial weights, of the first epoch's order, and of how its first samples look.

    The order is the one that the full set would have, from the stream that deals every plan, so
    it is equal for a strategy that plans only a part.  ``weights`` is a model with fresh weights.
    """
    order = torch.randperm(workload.n_samples, generator=generator(seed, "order", PHASE, 0))
    ids = torch.arange(min(workload.recipe.global_batch, workload.n_samples))
    _, views, _ = next(workload.batches([ids], key=stream(seed, "augment", PHASE, 0)))
    return {
        "weights_digest": digest(*weights.state_dict().values()),
        "order_digest": digest(order),
        "augment_digest": digest(views),
    }


def digest(*values: Tensor) -> str:
    """Twelve hex digits of the bytes of some tensors."""
    hashed = hashlib.blake2b(digest_size=6)
    for value in values:
        hashed.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return hashed.hexdigest()


KeyPart = str | int


def stream(*parts: KeyPart) -> int:
    """A 63-bit seed for the stream named by ``parts``: ``stream(seed, "plan", "train", 3)``."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def generator(*parts: KeyPart, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator at the start of the stream named by ``parts``."""
    return torch.Generator(device).manual_seed(stream(*parts))
