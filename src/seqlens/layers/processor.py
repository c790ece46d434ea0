"""Which instructions the processor has, as torch found them."""

import torch


def has_unit(name: str, *, older: str) -> bool:
    """Whether there is one of that name in `torch.cpu.get_capabilities`; `older` told it in torch 2.8, without them."""
    asked = getattr(torch.cpu, "get_capabilities", None)
    return bool(getattr(torch.cpu, older)() if asked is None else asked().get(name, False))
