"""What is random inside a recurrent layer: how likely, and the masks of one run, drawn once for every executor."""

from dataclasses import dataclass

import torch
from torch import Tensor

from seqlens.cells import Cell, Masks
from seqlens.layers.dropout import keep_mask


@dataclass(frozen=True, slots=True)
class Randomness:
    """Probabilities, each in [0, 1).

    `zoneout_p`: of an entry of a state to keep its old value at a step (Krueger et al. 2017), `cell_zoneout_p` the same
    for the state `cell`; `recurrent_dropout_p`: of an entry of the hidden state to be dropped from all recurrent
    products of a sequence (Gal & Ghahramani 2016); `weight_dropout_p`: of a recurrent weight to be dropped for a batch
    (Merity et al. 2018).
    """

    zoneout_p: float = 0.0
    cell_zoneout_p: float = 0.0
    recurrent_dropout_p: float = 0.0
    weight_dropout_p: float = 0.0

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 0 and below 1, but is {getattr(self, name)}")

    @property
    def lasts(self) -> bool:
        """Whether a mask is the same for all steps of a sequence, so that no step can draw its own."""
        return self.recurrent_dropout_p > 0 or self.weight_dropout_p > 0

    def check(self, cell: Cell) -> None:
        """Raises ValueError where a cell has nothing that a mask could be given to."""
        if self.lasts and not cell.recurrent_weight.numel():
            raise ValueError(f"{type(cell).__name__} multiplies no state by a weight, so neither can be dropped")

    def draw(self, cell: Cell, *, rows: int, steps: int, training: bool) -> Masks:
        """The masks for `rows` sequences of `steps` packed steps in all; torch's global generator seeds them.

        Only the real steps are counted, so more padding draws the same. In evaluation zoneout is its expectation.
        """
        shares = {name: self.cell_zoneout_p if name == "cell" else self.zoneout_p for name in cell.state_names}
        shares = {name: p for name, p in shares.items() if p > 0}
        if not training:
            return Masks(zoneout=dict(shares))
        like = cell.recurrent_weight
        return Masks(
            weight=_scaled(like, self.weight_dropout_p) if self.weight_dropout_p > 0 else None,
            operand=(
                _scaled(like.new_empty(rows, cell.hidden_dim), self.recurrent_dropout_p)
                if self.recurrent_dropout_p > 0
                else None
            ),
            zoneout={
                name: 1 - keep_mask(like.new_empty(steps, cell.state_dims[name]), p)[0].to(like.device)
                for name, p in shares.items()
            },
        )


def _scaled(like: Tensor, p: float) -> Tensor:
    mask, scale = keep_mask(like.detach(), p)
    return torch.mul(mask, scale).to(like.device)
