"""Search for the best outputs of a step function: beam, greedy, sampling. Imports no model."""

from seqlens.decoding.beam import beam_search
from seqlens.decoding.config import DecodingConfig
from seqlens.decoding.dispatch import decode
from seqlens.decoding.greedy import greedy_search
from seqlens.decoding.hypothesis import Hypothesis
from seqlens.decoding.sampling import sample
from seqlens.decoding.step import SearchState, StepFunction, StepOutput

__all__ = [
    "DecodingConfig",
    "Hypothesis",
    "SearchState",
    "StepFunction",
    "StepOutput",
    "beam_search",
    "decode",
    "greedy_search",
    "sample",
]
