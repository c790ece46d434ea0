"""The best symbols of a row, with ties broken the same way on every machine and in every batch."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def best_symbols(
    log_probs: Float[Tensor, "rows vocab"], count: int
) -> tuple[Float[Tensor, "rows best"], Int[Tensor, "rows best"]]:
    """The `count` largest entries of each row (all, if there are fewer), *ordered by id*; the lower id wins a tie.

    The order lets a later stable sort by value keep lower ids first. `torch.topk` leaves open which of several
    equal entries it returns; rows where this matters are sorted in full.
    """
    vocab_size = log_probs.shape[1]
    if count >= vocab_size:
        ids = torch.arange(vocab_size, device=log_probs.device).expand(len(log_probs), -1)
        return log_probs, ids
    values, ids = log_probs.topk(count + 1, dim=1)
    # Equal dead entries are of no interest: none of them is ever used.
    tied = (values[:, count - 1] == values[:, count]) & values[:, count].isfinite()
    values, ids = values[:, :count], ids[:, :count]
    if bool(tied.any()):
        sorted_values, sorted_ids = log_probs[tied].sort(dim=1, descending=True, stable=True)
        values, ids = values.clone(), ids.clone()
        values[tied], ids[tied] = sorted_values[:, :count], sorted_ids[:, :count]
    ids, order = ids.sort(dim=1)
    return values.gather(1, order), ids
