"""The state of the random generators: seeded, captured for a checkpoint, put back, left undisturbed."""

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy
import torch
from torch import Tensor


class RandomState(NamedTuple):
    """The state of the generators of torch (processor and device), numpy and Python."""

    tensors: dict[str, Tensor]
    values: dict[str, Any]
    """What is a plain number, as JSON values."""


def seed_everything(seed: int) -> None:
    """Seeds the global generators of torch (all devices), numpy and Python. Dropout draws from torch's."""
    random.seed(seed)
    numpy.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def capture_randomness(device: torch.device) -> RandomState:
    """Returns the present state of the generators, of `device` too if it is a GPU."""
    python_version, python_words, python_gauss = random.getstate()
    name, numpy_words, position, has_gauss, gauss = numpy.random.get_state(legacy=True)
    tensors = {
        "torch": torch.get_rng_state(),
        "numpy": torch.from_numpy(numpy.asarray(numpy_words).astype(numpy.int64)),
        "python": torch.tensor(python_words, dtype=torch.int64),
    }
    if device.type == "cuda":
        tensors["cuda"] = torch.cuda.get_rng_state(device)
    values = {
        "python": [python_version, python_gauss],
        "numpy": [str(name), int(position), int(has_gauss), float(gauss)],
    }
    return RandomState(tensors, values)


def restore_randomness(device: torch.device, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
    """Puts back what `capture_randomness` returned. A GPU's state is put back only if there is one in both."""
    python_version, python_gauss = values["python"]
    random.setstate((python_version, tuple(tensors["python"].tolist()), python_gauss))
    name, position, has_gauss, gauss = values["numpy"]
    numpy_words = tensors["numpy"].numpy().astype(numpy.uint32)
    numpy.random.set_state((name, numpy_words, position, has_gauss, gauss))
    torch.set_rng_state(tensors["torch"])
    if device.type == "cuda" and "cuda" in tensors:
        torch.cuda.set_rng_state(tensors["cuda"], device)


@contextmanager
def undisturbed_randomness(device: torch.device) -> Iterator[None]:
    """Whatever is drawn inside, the generators go on afterwards as if nothing had been."""
    state = capture_randomness(device)
    try:
        yield
    finally:
        restore_randomness(device, state.tensors, state.values)
