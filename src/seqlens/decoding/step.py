"""The contract between a search and the model it searches: a step function and a state that can be reordered."""

from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor


@runtime_checkable
class SearchState(Protocol):
    """Everything a step function carries from one symbol to the next; opaque to the search.

    The rows of a state belong to groups, one group an input sequence. The rows of a group are contiguous
    and every group has the same number of rows: 1 when the search begins, the width of the beam later.
    """

    def reorder(self, rows: Int[Tensor, "new_rows"], groups: Int[Tensor, "new_groups"] | None) -> "SearchState":
        """A state whose row `i` is the present row `rows[i]`; the present state may be reused by it.

        `rows` names rows of the present state, one per new row, and may repeat and drop rows: this is how a
        beam is opened, how its best continuations are kept, and how finished inputs leave the batch.
        `groups` names the present groups that stay, in order (for what is held once an input, such as encoder
        outputs), or is None when all stay. Both lie on the device of the search. The new rows are contiguous
        by group: group `g` of the new state owns the rows from `g * width` to `(g + 1) * width - 1`, where
        `width` is the number of new rows divided by the number of new groups.
        """
        ...


class StepOutput(NamedTuple):
    """What one step gives: the scores of the next symbol, the new state, and where the model looked."""

    logits: Float[Tensor, "rows vocab"]  # unnormalised
    state: SearchState
    alignment: Float[Tensor, "rows source_time"] | None = None  # attention over the source in this step


StepFunction = Callable[[Int[Tensor, "rows"], SearchState], StepOutput]
"""Takes the last symbol of every row (the start symbol at first) and the state; predicts the next symbol."""
