"""Search for the best outputs of a step function: beam, greedy, sampling; by one model or several. Imports no model."""

from seqlens.decoding.beam import beam_search
from seqlens.decoding.config import DecodingConfig
from seqlens.decoding.dispatch import decode, unread_settings
from seqlens.decoding.ensemble import EnsembleState, average
from seqlens.decoding.greedy import greedy_search
from seqlens.decoding.hypothesis import Hypothesis
from seqlens.decoding.phrases import symbols_needed
from seqlens.decoding.request import SearchRequest
from seqlens.decoding.sampling import sample
from seqlens.decoding.step import SearchState, StepFunction, StepOutput
from seqlens.decoding.viterbi import BestPaths, viterbi

__all__ = [
    "BestPaths",
    "DecodingConfig",
    "EnsembleState",
    "Hypothesis",
    "SearchRequest",
    "SearchState",
    "StepFunction",
    "StepOutput",
    "average",
    "beam_search",
    "decode",
    "greedy_search",
    "sample",
    "symbols_needed",
    "unread_settings",
    "viterbi",
]
