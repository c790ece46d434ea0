"""Greedy search: the most probable symbol at every step."""

import torch

from seqlens.decoding.history import read_hypotheses
from seqlens.decoding.hypothesis import Hypothesis
from seqlens.decoding.path import follow_paths
from seqlens.decoding.ranking import best_symbol
from seqlens.decoding.request import SearchRequest
from seqlens.decoding.rules import make_rules, refuse_phrases
from seqlens.decoding.step import SearchState, StepFunction


@torch.no_grad()
def greedy_search(step: StepFunction, state: SearchState, request: SearchRequest) -> list[list[Hypothesis]]:
    """One hypothesis an input, in a list of its own; of equal symbols the one with the lower id is taken.

    The errors are those of `beam_search`; `length_penalty` only enters the score reported.
    """
    rules = make_rules(request)
    refuse_phrases(request, "greedy search")
    history, endings = follow_paths(step, state, lambda log_probs, _: best_symbol(log_probs), rules, per_input=1)
    return read_hypotheses(history, endings, max_lengths=request.max_lengths, per_input=1)
