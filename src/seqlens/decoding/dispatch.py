"""One call for every search, chosen by a configuration."""

from dataclasses import replace
from typing import assert_never

from seqlens.decoding.beam import beam_search
from seqlens.decoding.config import DecodingConfig
from seqlens.decoding.greedy import greedy_search
from seqlens.decoding.hypothesis import Hypothesis
from seqlens.decoding.request import SearchRequest
from seqlens.decoding.sampling import sample
from seqlens.decoding.step import SearchState, StepFunction


def decode(
    step: StepFunction, state: SearchState, config: DecodingConfig, request: SearchRequest
) -> list[list[Hypothesis]]:
    """Up to `config.num_best` hypotheses for every input of the request, by `config.method`.

    `request.max_lengths` is what the caller allows each input; `config.max_length`, if set, caps it. The length
    penalty and the minimum length are those of `config`. The errors are those of `beam_search`.
    """
    cap = config.max_length
    request = replace(
        request,
        max_lengths=[length if cap is None else min(length, cap) for length in request.max_lengths],
        length_penalty=config.length_penalty,
        min_length=config.min_length,
    )
    match config.method:
        case "beam":
            return beam_search(
                step,
                state,
                request,
                beam_width=config.beam_width,
                num_best=config.num_best,
                stopping=config.stopping,
                diversity_groups=config.diversity_groups,
                diversity_penalty=config.diversity_penalty,
            )
        case "greedy":
            return greedy_search(step, state, request)
        case "sample":
            return sample(
                step,
                state,
                request,
                temperature=config.temperature,
                top_k=config.top_k,
                top_p=config.top_p,
                seed=config.seed,
                num_samples=config.num_best,
            )
    assert_never(config.method)
