"""Random draws that depend on the seed and the step alone.

The generators are seeded anew for each step and each validation. So nothing of them has to be kept in a checkpoint, and
whatever else draws in between (a progress line, a validation, a type checker) changes nothing.
"""

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import numpy
import torch


def seed_for(seed: int, purpose: Literal["step", "validation"], step: int, rank: int = 0) -> int:
    """Returns 63 bits that differ for every seed, purpose, step and process (the start of a BLAKE2 digest)."""
    process = f" {rank}" if rank else ""
    digest = hashlib.blake2b(f"{seed} {purpose} {step}{process}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def seed_everything(seed: int, device: torch.device) -> None:
    """Seeds the global generators of Python, numpy and torch, that of `device` too. Dropout draws from torch's."""
    random.seed(seed)
    numpy.random.seed(seed % 2**32)
    torch.default_generator.manual_seed(seed)  # `torch.manual_seed` takes a tenth of a millisecond
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)


@contextmanager
def undisturbed_randomness(device: torch.device) -> Iterator[None]:
    """Whatever is drawn or seeded inside, the generators go on afterwards as if nothing had been."""
    python, numpys, torchs = random.getstate(), numpy.random.get_state(), torch.get_rng_state()
    cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
    try:
        yield
    finally:
        random.setstate(python)
        numpy.random.set_state(numpys)
        torch.set_rng_state(torchs)
        if cuda is not None:
            torch.cuda.set_rng_state(cuda, device)
