"""Greedy search: the most probable symbol at every step."""

from collections.abc import Sequence

import torch

from seqlens.decoding.history import read_hypotheses
from seqlens.decoding.hypothesis import Hypothesis
from seqlens.decoding.path import follow_paths
from seqlens.decoding.rules import make_rules
from seqlens.decoding.step import SearchState, StepFunction


@torch.no_grad()
def greedy_search(
    step: StepFunction,
    state: SearchState,
    *,
    num_groups: int,
    start_id: int,
    end_id: int,
    max_lengths: Sequence[int],
    length_penalty: float = 1.0,
    forbidden_ids: Sequence[int] = (),
    min_length: int = 0,
    prefixes: Sequence[Sequence[int]] | None = None,
    device: torch.device | str | None = None,
) -> list[list[Hypothesis]]:
    """One hypothesis an input, in a list of its own; of equal symbols the one with the lower id is taken.

    The arguments and errors are those of `beam_search`; `length_penalty` only enters the score reported.
    """
    rules = make_rules(
        num_groups=num_groups,
        start_id=start_id,
        end_id=end_id,
        max_lengths=max_lengths,
        length_penalty=length_penalty,
        forbidden_ids=forbidden_ids,
        min_length=min_length,
        prefixes=prefixes,
        device=device,
    )
    history, endings = follow_paths(step, state, lambda log_probs, _: log_probs.argmax(dim=1), rules, per_input=1)
    return read_hypotheses(history, endings, max_lengths=max_lengths, per_input=1)
