"""What each token of a text counted for: how far the answer's log-odds fall when it is hidden (occlusion).

M. Zeiler & R. Fergus (2014), section 2; J. Li et al. (2016), "Understanding neural networks through representation
erasure", for words.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from seqlens.data.batch import pad
from seqlens.tasks.classify.answer import TokenWeight

_ROWS_AT_ONCE = 128


def token_weights(
    model: nn.Module,
    row: Sequence[int],
    label: int,
    text: str,
    spans: Sequence[tuple[int, int]],
    hidden_id: int,
) -> tuple[TokenWeight, ...]:
    """A weight for each id of `row`, which stands for a span of the text; a hidden token becomes `hidden_id`."""
    device = next(model.parameters()).device
    variants = [list(row)] + [[*row[:place], hidden_id, *row[place + 1 :]] for place in range(len(row))]
    odds: list[float] = []
    with torch.no_grad():
        for first in range(0, len(variants), _ROWS_AT_ONCE):
            batch = pad(variants[first : first + _ROWS_AT_ONCE]).to(device)
            odds += log_odds(model(batch.ids, batch.lengths).logits.double(), label).tolist()
    whole, *without = odds
    return tuple(
        TokenWeight(text[start:end], start, end, whole - one) for (start, end), one in zip(spans, without, strict=False)
    )


def log_odds(logits: Float[Tensor, "rows classes"], label: int) -> Float[Tensor, " rows"]:
    """The logarithm of the label's probability over that of all others."""
    others = torch.cat((logits[:, :label], logits[:, label + 1 :]), dim=1)
    return logits[:, label] - torch.logsumexp(others, dim=1)
