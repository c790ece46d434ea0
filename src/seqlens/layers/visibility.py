"""Which keys a query sees by where both stand: no later ones, or only near ones. True = keep."""

import torch
from jaxtyping import Bool, Int, Num
from torch import Tensor


def check_window(window: int | None) -> int | None:
    """The window, if it is one.

    Raises:
        ValueError: it is below 0.
    """
    if window is not None and window < 0:
        raise ValueError(f"`window` is the largest distance that a query sees, 0 or more, but is {window}")
    return window


def visible_keys(
    positions: Num[Tensor, "*lead queries"],
    key_positions: Int[Tensor, " keys"],
    *,
    causal: bool = False,
    window: int | None = None,
) -> Bool[Tensor, "*lead queries keys"]:
    """True where a query sees a key.

    Args:
        positions: where each query stands, `[queries]` or `[batch, queries]`; need not be whole.
        key_positions: where each key stands.
        causal: whether keys after the query's position are hidden.
        window: the largest distance at which a key is seen; any if None (local attention, Luong et al. 2015,
            section 3.2).
    """
    distance = key_positions - positions[..., None]
    keep = torch.ones_like(distance, dtype=torch.bool) if window is None else distance.abs() <= window
    return keep & (distance <= 0) if causal else keep
