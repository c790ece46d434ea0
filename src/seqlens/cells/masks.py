"""Randomness that is given to a cell, so that every executor meets the same: drawn once, outside of all of them."""

from typing import NamedTuple

import torch
from torch import Tensor

Zoneout = dict[str, Tensor | float]
"""By the name of a state: a mask, 1 where an entry keeps its old value, `[rows, dim]`; or the share of it to keep."""


class Masks(NamedTuple):
    """The masks of one run of one cell.

    Attributes:
        weight: DropConnect (Merity et al. 2018, section 2): `recurrent_weight` is multiplied by it; one for all steps.
        operand: variational dropout (Gal & Ghahramani 2016, equation 7): whatever the recurrent weight multiplies is
            multiplied by it first; `[batch, hidden_dim]`, one for all steps of a sequence.
        zoneout: (Krueger et al. 2017, equation 4): `s_t = m * s_{t-1} + (1 - m) * s̃_t`, a mask for every step;
            in evaluation its expectation, a number.
        ended: `[rows, 1]`, True where a step is padding: states stay as they are. Only graphs of fixed shapes have it.
    """

    weight: Tensor | None = None
    operand: Tensor | None = None
    zoneout: Zoneout = {}  # noqa: RUF012 (never written to)
    ended: Tensor | None = None

    def __bool__(self) -> bool:
        return self.weight is not None or self.operand is not None or bool(self.zoneout) or self.ended is not None

    def of_step(self, first: int, rows: int) -> "Masks":
        """Those of one packed step: `rows` sequences still running, the step's first row at `first`."""
        return Masks(
            None,
            None if self.operand is None else self.operand[:rows],
            {
                name: mask[first : first + rows] if isinstance(mask, Tensor) else mask
                for name, mask in self.zoneout.items()
            },
            None if self.ended is None else self.ended[first : first + rows],
        )


def zone_out(new: Tensor, old: Tensor, mask: Tensor | float) -> Tensor:
    """`m * old + (1 - m) * new`, exact where `m` is 0 or 1."""
    return torch.lerp(new, old, mask)
