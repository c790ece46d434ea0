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

    The order lets a later stable sort by value keep lower ids first. `torch.topk` leaves open which of several
    equal entries it returns; rows where this matters, many in bfloat16, are looked through once more.
    """
    vocab_size = log_probs.shape[1]
    if count >= vocab_size:
        ids = torch.arange(vocab_size, device=log_probs.device).expand(len(log_probs), -1)
        return log_probs, ids
    values, ids = _largest(log_probs, count + 1)
    # Equal dead entries are of no interest: none of them is ever used.
    tied = (values[:, count - 1] == values[:, count]) & values[:, count].isfinite()
    values, ids = values[:, :count], ids[:, :count]
    if bool(tied.any()):
        values, ids = values.clone(), ids.clone()
        ids[tied] = _first_of_equals(log_probs[tied], values[tied, count - 1], count)
        values[tied] = log_probs[tied].gather(1, ids[tied])
    ids, order = ids.sort(dim=1)
    return values.gather(1, order), ids


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


def _largest(
    log_probs: Float[Tensor, "rows vocab"], count: int
) -> tuple[Float[Tensor, "rows best"], Int[Tensor, "rows best"]]:
    """What `torch.topk` finds, in a third of its time: the best of a row lie in its best blocks."""
    vocab_size = log_probs.shape[1]
    whole = vocab_size - vocab_size % _BLOCK
    if whole < 4 * count * _BLOCK:
        found = log_probs.topk(count, dim=1)
        return found.values, found.indices
    blocks = log_probs[:, :whole].unflatten(1, (-1, _BLOCK))
    chosen = blocks.amax(dim=2).topk(count, dim=1).indices
    candidates = blocks.gather(1, chosen[:, :, None].expand(-1, -1, _BLOCK)).flatten(1)
    # What is left beyond the last block takes part as it is.
    candidates = torch.cat((candidates, log_probs[:, whole:]), dim=1)
    values, places = candidates.topk(count, dim=1)
    block = chosen.gather(1, (places // _BLOCK).clamp(max=count - 1))
    ids = torch.where(places < count * _BLOCK, block * _BLOCK + places % _BLOCK, whole + places - count * _BLOCK)
    return values, ids
