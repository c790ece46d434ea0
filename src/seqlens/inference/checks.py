"""What is checked of numbers that a caller gives, and of weights; and who may use a pool of workers."""

import threading
import zlib
from types import TracebackType
from typing import final

import torch

from seqlens.errors import RequestError

Checksums = dict[str, tuple[torch.dtype, int]]


def check_at_least_one(**numbers: int) -> None:
    """Raises a RequestError that names the first of these numbers that is below 1."""
    for name, number in numbers.items():
        if number < 1:
            raise RequestError(f"'{name}' is {number}, expected 1 or more.")


def checksums(model: torch.nn.Module) -> Checksums:
    """What tells a model's weights from changed ones: torch does not number every way to write into them."""
    return {
        name: (tensor.dtype, zlib.crc32(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy()))
        for name, tensor in model.state_dict().items()
    }


@final
class PoolLock:
    """A lock that one thread may take again; what holds it can be copied and pickled, and the copy has its own."""

    def __init__(self) -> None:
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()

    def __reduce__(self) -> tuple[type["PoolLock"], tuple[()]]:
        return PoolLock, ()
