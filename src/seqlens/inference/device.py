"""Where a model computes."""

import torch

from seqlens.errors import RequestError


def choose_device(name: str | torch.device) -> torch.device:
    """The device of that name; `auto` is a CUDA device where there is one, else the CPU.

    Raises:
        RequestError: there is no such kind of device, or this machine has none of it.
    """
    if isinstance(name, torch.device):
        return name
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
        if device.type == "meta":
            raise RuntimeError("nothing is computed there")
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # torch has no class of its own for this
        cuda = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
        there = ", ".join(["auto", "cpu", *cuda])
        raise RequestError(f"There is no device '{name}' here, expected one of {there}.") from error
    return device
