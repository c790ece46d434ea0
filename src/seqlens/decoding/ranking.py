"""The best symbols of a row, with ties broken the same way on every machine and in every batch."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

_BLOCK = 64
"""Symbols whose maximum is looked at first."""


def best_symbols(
    log_probs: Float[Tensor, "rows vocab"], count: int
) -> tuple[Float[Tensor, "rows best"], Int[Tensor, "rows best"]]:
    """The `count` largest entries of each row (all, if there are fewer), *ordered by id*; the lower id wins a tie.

    The order lets a later stable sort by value keep lower ids first. A whole vocabulary is not looked through: the
    best of a row lie in its `count` best blocks, the lower block winning a tie of their largest entries.
    """
    vocab_size = log_probs.shape[1]
    whole = vocab_size - vocab_size % _BLOCK
    if whole < 4 * count * _BLOCK:
        return _first_best(log_probs, count)
    blocks = log_probs[:, :whole].unflatten(1, (-1, _BLOCK))
    _, chosen = _first_best(blocks.amax(dim=2), count)
    candidates = blocks.gather(1, chosen[:, :, None].expand(-1, -1, _BLOCK)).flatten(1)
    # What is left beyond the last block takes part as it is.
    values, places = _first_best(torch.cat((candidates, log_probs[:, whole:]), dim=1), count)
    block = chosen.gather(1, (places // _BLOCK).clamp(max=count - 1))
    ids = torch.where(places < count * _BLOCK, block * _BLOCK + places % _BLOCK, whole + places - count * _BLOCK)
    return values, ids


def _first_best(
    values: Float[Tensor, "rows entries"], count: int
) -> tuple[Float[Tensor, "rows best"], Int[Tensor, "rows best"]]:
    """What `best_symbols` finds. `torch.topk` leaves open which of several equal entries it returns; rows where this
    matters, many in bfloat16, are looked through once more.
    """
    if count >= values.shape[1]:
        return values, torch.arange(values.shape[1], device=values.device).expand(len(values), -1)
    best, places = values.topk(count + 1, dim=1)
    # Equal dead entries are of no interest: none of them is ever used.
    tied = (best[:, count - 1] == best[:, count]) & best[:, count].isfinite()
    places = places[:, :count]
    if bool(tied.any()):
        places = places.clone()
        places[tied] = _first_of_equals(values[tied], best[tied, count - 1], count)
    places = places.sort(dim=1).values
    return values.gather(1, places), places


def _first_of_equals(
    log_probs: Float[Tensor, "rows vocab"], least: Float[Tensor, "rows"], count: int
) -> Int[Tensor, "rows count"]:
    """Ids of the entries above `least` and of the first ones equal to it, `count` in all, by id."""
    above, equal = log_probs > least[:, None], log_probs == least[:, None]
    room = count - above.sum(dim=1, keepdim=True)
    kept = above | (equal & (equal.cumsum(dim=1) <= room))
    return kept.nonzero()[:, 1].view(-1, count)


def best_symbol(log_probs: Float[Tensor, "rows vocab"]) -> Int[Tensor, "rows"]:
    """The largest entry of each row; the lower id wins a tie."""
    vocab_size = log_probs.shape[1]
    whole = vocab_size - vocab_size % _BLOCK
    if vocab_size < 8 * _BLOCK:
        return log_probs.argmax(dim=1)
    blocks = log_probs[:, :whole].unflatten(1, (-1, _BLOCK))
    first = blocks.amax(dim=2).argmax(dim=1)
    within = blocks.gather(1, first[:, None, None].expand(-1, -1, _BLOCK))[:, 0].argmax(dim=1)
    found = first * _BLOCK + within
    if whole == vocab_size:
        return found
    value, rest = log_probs[:, whole:].max(dim=1)
    return torch.where(value > log_probs.gather(1, found[:, None])[:, 0], rest + whole, found)
