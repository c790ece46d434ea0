"""Sampling: symbols drawn from the model's distribution, sharpened by a temperature, top-k and top-p."""

import hashlib

import torch
from jaxtyping import Float, Int
from torch import Tensor

from seqlens.decoding.history import read_hypotheses
from seqlens.decoding.hypothesis import Hypothesis
from seqlens.decoding.path import follow_paths
from seqlens.decoding.request import SearchRequest
from seqlens.decoding.rules import make_rules, refuse_phrases
from seqlens.decoding.step import SearchState, StepFunction
from seqlens.errors import RequestError


@torch.no_grad()
def sample(
    step: StepFunction,
    state: SearchState,
    request: SearchRequest,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int = 0,
    num_samples: int = 1,
) -> list[list[Hypothesis]]:
    """`num_samples` independent outputs an input, in the order drawn (not sorted, and two may be equal).

    The random numbers come from a generator for each input on the CPU, so that a seed gives the same draws on every
    device and leaves the global generator alone. The draws of an input depend on the seed, its number in
    `request.streams` and `num_samples`, not on the other inputs.

    Args:
        temperature: log-probabilities are divided by it; 0 is greedy search.
        top_k: only the `top_k` most probable symbols may be drawn (all if None); ties go to the lower id.
        top_p: of these, only the smallest set of most probable symbols whose share reaches `top_p`.

    The errors are those of `beam_search`. `log_prob` and `score` of a hypothesis are
    those of the model itself, before temperature, top-k and top-p.
    """
    _check(temperature=temperature, top_k=top_k, top_p=top_p, num_samples=num_samples)
    rules = make_rules(request)
    refuse_phrases(request, "sampling")
    generators = _generators(request, seed)

    def choose(log_probs: Float[Tensor, "rows vocab"], paths: Int[Tensor, "rows"]) -> Int[Tensor, "rows"]:
        if temperature == 0:
            return log_probs.argmax(dim=1)
        # One number for every path of an input, over or not: no path's draws depend on when another ends.
        inputs = (paths[::num_samples] // num_samples).tolist()
        each = [torch.rand(num_samples, generator=generators[number], dtype=torch.float64) for number in inputs]
        numbers = torch.cat(each).to(paths.device)
        return draw(log_probs, numbers, temperature=temperature, top_k=top_k, top_p=top_p)

    history, endings = follow_paths(step, state, choose, rules, per_input=num_samples)
    return read_hypotheses(history, endings, max_lengths=request.max_lengths, per_input=num_samples)


def _generators(request: SearchRequest, seed: int) -> list[torch.Generator]:
    streams = range(len(request.max_lengths)) if request.streams is None else request.streams
    if len(streams) != len(request.max_lengths):
        raise RequestError(f"'streams' has {len(streams)} entries, expected one per input: {len(request.max_lengths)}.")
    digests = [hashlib.blake2b(f"{seed} sample {stream}".encode(), digest_size=8).digest() for stream in streams]
    return [torch.Generator().manual_seed(int.from_bytes(digest, "big")) for digest in digests]


def draw(
    log_probs: Float[Tensor, "rows vocab"],
    numbers: Float[Tensor, "rows"],
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> Int[Tensor, "rows"]:
    """Symbols at the places `numbers` (0 <= number < 1) of the cumulated distribution; needs not be normalised."""
    scaled = log_probs.double()
    # Shifted first: the largest is 0, so that the smallest temperature cannot overflow. A row of nothing but
    # -inf (an output that is over) is left as it is.
    scaled = (scaled - scaled.amax(dim=1, keepdim=True).nan_to_num(neginf=0.0)) / temperature
    if top_k is None and top_p is None:
        cumulated = scaled.exp().cumsum(dim=1)
        return _place(cumulated, numbers)
    scaled, ids = scaled.sort(dim=1, descending=True, stable=True)
    probs = scaled.exp()
    if top_k is not None:
        probs[:, top_k:] = 0
    if top_p is not None:
        cumulated = probs.cumsum(dim=1)
        # A symbol stays if those before it do not yet make up top_p; so the first one always stays.
        probs = probs * ((cumulated - probs) < top_p * cumulated[:, -1:])
    return ids.gather(1, _place(probs.cumsum(dim=1), numbers)[:, None])[:, 0]


def _place(cumulated: Float[Tensor, "rows vocab"], numbers: Float[Tensor, "rows"]) -> Int[Tensor, "rows"]:
    total = cumulated[:, -1:].contiguous()
    place = torch.searchsorted(cumulated, numbers[:, None] * total, right=True)
    # A product rounded up to the total would fall behind the last symbol that can be drawn.
    last = torch.searchsorted(cumulated, total, right=False)
    return torch.minimum(place, last)[:, 0]


def _check(*, temperature: float, top_k: int | None, top_p: float | None, num_samples: int) -> None:
    if not 0 <= temperature < float("inf"):
        raise RequestError(f"'temperature' is {temperature}, expected a number of 0 or more.")
    if top_k is not None and top_k < 1:
        raise RequestError(f"'top_k' is {top_k}, expected 1 or more.")
    if top_p is not None and not 0 < top_p <= 1:
        raise RequestError(f"'top_p' is {top_p}, expected a number above 0 and at most 1.")
    if num_samples < 1:
        raise RequestError(f"'num_samples' is {num_samples}, expected 1 or more.")
