"""Diverse beam search: parts of a beam that are kept apart from each other (Vijayakumar et al. 2016)."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from seqlens.decoding.expansion import Expansion, expand
from seqlens.decoding.hypothesis import Hypothesis
from seqlens.decoding.rules import DEAD


def expand_apart(
    log_probs: Float[Tensor, "rows vocab"],
    before: Float[Tensor, "groups width_now"],
    *,
    width: int,
    end_id: int,
    parts: int,
    penalty: float,
) -> Expansion:
    """Continues the parts of each beam one after another; `parts` neighbouring groups are those of one input.

    A symbol costs a part `penalty` for each hypothesis of an earlier part that took it in this step (Hamming
    diversity: algorithm 1 and section 4 of the paper). The cost decides which candidates are taken and is then
    forgotten: log-probabilities stay those of the model.
    """
    num_groups, width_now = before.shape
    vocab_size = log_probs.shape[1]
    by_part = log_probs.view(num_groups // parts, parts, width_now, vocab_size)
    before_by_part = before.view(-1, parts, width_now)
    counts = log_probs.new_zeros(num_groups // parts, vocab_size)
    inputs = torch.arange(len(counts), device=before.device)[:, None]
    found: list[Expansion] = []
    for number in range(parts):
        own, own_before = by_part[:, number], before_by_part[:, number]
        apart = (own - penalty * counts[:, None]).flatten(0, 1)
        new = expand(apart, own_before, width=width, end_id=end_id)
        new = _as_the_model_says(new, own.flatten(0, 1), own_before.flatten(), end_id)
        counts.scatter_add_(1, new.tokens, (new.log_probs > DEAD).to(counts.dtype))
        counts[:, end_id] += (new.end_log_probs > DEAD).sum(dim=1)
        # From places among the rows of this part to places among all rows.
        shift = (inputs * (parts - 1) + number) * width_now
        found.append(new._replace(rows=new.rows + shift, end_rows=new.end_rows + shift))
    return Expansion._make(torch.stack(column, dim=1).flatten(0, 1) for column in zip(*found, strict=True))


def _as_the_model_says(
    new: Expansion, log_probs: Float[Tensor, "rows vocab"], before: Float[Tensor, " rows"], end_id: int
) -> Expansion:
    """The expansion with log-probabilities free of what diversity cost, best first."""
    going_on = (log_probs[new.rows, new.tokens] + before[new.rows]).masked_fill(new.log_probs == DEAD, DEAD)
    ended = (log_probs[new.end_rows, end_id] + before[new.end_rows]).masked_fill(new.end_log_probs == DEAD, DEAD)
    going_on, order = going_on.sort(dim=1, descending=True, stable=True)
    return Expansion(going_on, new.tokens.gather(1, order), new.rows.gather(1, order), ended, new.end_rows)


def merge_parts(answers: Sequence[list[Hypothesis]], parts: int, num_best: int) -> list[list[Hypothesis]]:
    """One list an input: the best of each part, then the second best, until there are `num_best`; none twice.

    Of one rank the higher score comes first. The list is in the order of scores, what is unfinished last.
    """
    return [_merged(answers[first : first + parts], num_best) for first in range(0, len(answers), parts)]


def _merged(answers: Sequence[list[Hypothesis]], num_best: int) -> list[Hypothesis]:
    ranked = [
        (not hypothesis.finished, rank, -hypothesis.score, hypothesis)
        for answer in answers
        for rank, hypothesis in enumerate(answer)
    ]
    chosen: dict[tuple[tuple[int, ...], bool], Hypothesis] = {}
    for *_, hypothesis in sorted(ranked, key=lambda entry: entry[:3]):
        chosen.setdefault((hypothesis.tokens, hypothesis.finished), hypothesis)
    best = list(chosen.values())[:num_best]
    return sorted(best, key=lambda hypothesis: (not hypothesis.finished, -hypothesis.score))
