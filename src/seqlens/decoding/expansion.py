"""One step of a beam: from the log-probabilities of next symbols to the hypotheses that go on and those that end."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from seqlens.decoding.ranking import best_symbols
from seqlens.decoding.rules import DEAD


class Expansion(NamedTuple):
    """The continuations of one step: those that go on, best first, and those among the best that end (others -inf)."""

    log_probs: Float[Tensor, "groups width"]
    tokens: Int[Tensor, "groups width"]
    rows: Int[Tensor, "groups width"]
    end_log_probs: Float[Tensor, "groups width"]
    end_rows: Int[Tensor, "groups width"]


class Candidates(NamedTuple):
    """Continuations to choose from, equal ones in the order of their rows and then of their symbols' ids."""

    log_probs: Float[Tensor, "groups candidates"]
    tokens: Int[Tensor, "groups candidates"]
    rows: Int[Tensor, "groups candidates"]

    def ordered(self, order: Int[Tensor, "groups candidates"]) -> "Candidates":
        """The same in another order."""
        return Candidates(self.log_probs.gather(1, order), self.tokens.gather(1, order), self.rows.gather(1, order))


def expand(
    log_probs: Float[Tensor, "rows vocab"], before: Float[Tensor, "groups width_now"], *, width: int, end_id: int
) -> Expansion:
    """Continues every hypothesis by every symbol: the best `width` candidates end, the best `width` others go on."""
    # No row gives more than `width` that go on and one that ends.
    values, ids = best_symbols(log_probs, width + 1)
    found = join(values, ids, before, width=width)
    return part(found.ordered(found.log_probs.sort(dim=1, descending=True, stable=True).indices), width, end_id)


def join(
    values: Float[Tensor, "rows best"],
    ids: Int[Tensor, "rows best"],
    before: Float[Tensor, "groups width_now"],
    *,
    width: int,
) -> Candidates:
    """The candidates of each group, and `width` dead ones: room for a beam that few candidates fill."""
    num_groups, width_now = before.shape
    log_probs = (values.view(num_groups, width_now, -1) + before[:, :, None]).flatten(1)
    tokens = ids.reshape(num_groups, -1)
    rows = torch.arange(len(ids), device=ids.device).repeat_interleave(ids.shape[1]).view_as(tokens)
    # The dead ones continue the first row of their group.
    return Candidates(
        torch.cat([log_probs, log_probs.new_full((num_groups, width), DEAD)], dim=1),
        torch.cat([tokens, tokens.new_zeros(num_groups, width)], dim=1),
        torch.cat([rows, rows[:, :1].expand(-1, width)], dim=1),
    )


def part(found: Candidates, width: int, end_id: int) -> Expansion:
    """Of candidates in the order of preference, those of the first `width` that end and the first `width` others."""
    dead_end = found.log_probs == DEAD
    is_end = (found.tokens == end_id) & ~dead_end
    going_on = is_end.to(torch.uint8).sort(dim=1, stable=True).indices[:, :width]
    return Expansion(
        log_probs=found.log_probs.gather(1, going_on),
        tokens=found.tokens.gather(1, going_on),
        rows=found.rows.gather(1, going_on),
        end_log_probs=found.log_probs[:, :width].masked_fill(~is_end[:, :width], DEAD),
        end_rows=found.rows[:, :width],
    )
