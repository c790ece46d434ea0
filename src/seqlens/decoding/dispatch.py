"""One call for every search, chosen by a configuration."""

from collections.abc import Sequence
from typing import assert_never

import torch

from seqlens.decoding.beam import beam_search
from seqlens.decoding.config import DecodingConfig
from seqlens.decoding.greedy import greedy_search
from seqlens.decoding.hypothesis import Hypothesis
from seqlens.decoding.sampling import sample
from seqlens.decoding.step import SearchState, StepFunction


def decode(
    step: StepFunction,
    state: SearchState,
    config: DecodingConfig,
    *,
    num_groups: int,
    start_id: int,
    end_id: int,
    max_lengths: Sequence[int],
    forbidden_ids: Sequence[int] = (),
    prefixes: Sequence[Sequence[int]] | None = None,
    device: torch.device | str | None = None,
) -> list[list[Hypothesis]]:
    """Up to `config.num_best` hypotheses for each of `num_groups` inputs, by `config.method`.

    `max_lengths` is what the caller allows each input; `config.max_length`, if set, caps it. The other
    arguments and the errors are those of `beam_search`.
    """
    cap = config.max_length
    limits = [length if cap is None else min(length, cap) for length in max_lengths]
    match config.method:
        case "beam":
            return beam_search(
                step,
                state,
                num_groups=num_groups,
                start_id=start_id,
                end_id=end_id,
                max_lengths=limits,
                beam_width=config.beam_width,
                length_penalty=config.length_penalty,
                num_best=config.num_best,
                forbidden_ids=forbidden_ids,
                min_length=config.min_length,
                prefixes=prefixes,
                stopping=config.stopping,
                device=device,
            )
        case "greedy":
            return greedy_search(
                step,
                state,
                num_groups=num_groups,
                start_id=start_id,
                end_id=end_id,
                max_lengths=limits,
                length_penalty=config.length_penalty,
                forbidden_ids=forbidden_ids,
                min_length=config.min_length,
                prefixes=prefixes,
                device=device,
            )
        case "sample":
            return sample(
                step,
                state,
                num_groups=num_groups,
                start_id=start_id,
                end_id=end_id,
                max_lengths=limits,
                temperature=config.temperature,
                top_k=config.top_k,
                top_p=config.top_p,
                seed=config.seed,
                num_samples=config.num_best,
                length_penalty=config.length_penalty,
                forbidden_ids=forbidden_ids,
                min_length=config.min_length,
                prefixes=prefixes,
                device=device,
            )
    assert_never(config.method)
