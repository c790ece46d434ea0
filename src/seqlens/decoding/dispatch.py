"""One call for every search, chosen by a configuration."""

from collections.abc import Iterable
from dataclasses import replace
from typing import assert_never

from seqlens.decoding.beam import beam_search
from seqlens.decoding.config import DecodingConfig
from seqlens.decoding.greedy import greedy_search
from seqlens.decoding.hypothesis import Hypothesis
from seqlens.decoding.request import SearchRequest
from seqlens.decoding.sampling import sample
from seqlens.decoding.step import SearchState, StepFunction

_OWN_SETTINGS = {
    "beam": ("beam_width", "num_best", "stopping", "diversity_groups", "diversity_penalty"),
    "greedy": (),
    "sample": ("num_best", "temperature", "top_k", "top_p", "seed"),
}


def unread_settings(config: DecodingConfig, names: Iterable[str]) -> list[str]:
    """Those of `names` that only other methods than `config.method` look at, or this one only with another setting."""
    own = set(_OWN_SETTINGS[config.method])
    if config.diversity_groups == 1:
        own.discard("diversity_penalty")
    of_some = {name for settings in _OWN_SETTINGS.values() for name in settings}
    return [name for name in names if name in of_some - own]


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
