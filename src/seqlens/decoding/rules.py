"""What every search obeys: which symbols may come next, how long an output may be, what is forced at its start."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from seqlens.decoding.hypothesis import LARGEST_LENGTH_PENALTY, penalty_table
from seqlens.decoding.request import SearchRequest
from seqlens.errors import RequestError, WorkError

DEAD = float("-inf")  # the log-probability of what cannot be continued


@final
@dataclass(frozen=True, slots=True)
class Rules:
    """The arguments common to all searches, checked, on the device of the search."""

    start_id: int
    end_id: int
    max_lengths: Int[Tensor, "groups"]
    forbidden: Int[Tensor, "forbidden"]
    min_length: int
    prefixes: Int[Tensor, "groups prefix"] | None  # -1 where nothing is forced
    penalties: Float[Tensor, "lengths"]  # divisor of a log-probability, by length
    largest_id: int
    copies: int = 1  # neighbouring groups that search the same input

    def start(self) -> Int[Tensor, "open_groups"]:
        """The inputs that are searched at all: those whose maximum length is not 0."""
        return self.max_lengths.nonzero()[:, 0]

    def score(self, log_probs: Float[Tensor, "*shape"], lengths: Int[Tensor, "*#shape"]) -> Float[Tensor, "*shape"]:
        """`log_prob / length ** length_penalty`."""
        return log_probs / self.penalties[lengths].to(log_probs.dtype)

    def next_log_probs(
        self,
        logits: Float[Tensor, "rows vocab"],
        *,
        groups: Int[Tensor, "rows"],
        alive: Bool[Tensor, "rows"],
        length: int,
    ) -> Float[Tensor, "rows vocab"]:
        """Log-probabilities of the next symbol, in float32 at least, -inf for what may not come next.

        They are normalised over the whole vocabulary before symbols are ruled out, so that a hypothesis has
        the log-probability that the model gives it. `groups` names the input of each row, `alive` the
        rows that matter, and `length` is the number of symbols chosen so far.
        """
        self._check_logits(logits, num_rows=len(groups))
        log_probs = torch.log_softmax(logits.to(torch.promote_types(logits.dtype, torch.float32)), dim=-1)
        # A NaN or +inf anywhere in a row makes the whole row NaN, so that one column tells.
        broken = log_probs[:, 0].isnan()
        if bool(broken.any()):
            if bool((broken & alive).any()):
                raise WorkError(
                    f"The model gave scores that are not numbers (NaN, or nothing but infinities) for symbol "
                    f"{length + 1} of input {int(groups[broken & alive][0]) // self.copies} of the batch; "
                    f"its weights may be damaged."
                )
            log_probs[broken] = DEAD
        forced = self._forced(groups, length)
        if forced is None:
            return self._without_ruled_out(log_probs, length)
        only_forced = torch.full_like(log_probs, DEAD)
        place = forced.clamp(min=0)[:, None]
        only_forced.scatter_(1, place, log_probs.gather(1, place))
        return torch.where((forced >= 0)[:, None], only_forced, self._without_ruled_out(log_probs, length))

    def _without_ruled_out(self, log_probs: Float[Tensor, "rows vocab"], length: int) -> Float[Tensor, "rows vocab"]:
        """Works in place: the log-probabilities are the search's own."""
        if len(self.forbidden):
            log_probs[:, self.forbidden] = DEAD
        if length + 1 < self.min_length:
            log_probs[:, self.end_id] = DEAD
        return log_probs

    def _forced(self, groups: Int[Tensor, "rows"], length: int) -> Int[Tensor, "rows"] | None:
        if self.prefixes is None or length >= self.prefixes.shape[1]:
            return None
        return self.prefixes[groups, length]

    def _check_logits(self, logits: Float[Tensor, "rows_given vocab"], *, num_rows: int) -> None:
        if logits.shape[0] != num_rows:
            raise ValueError(f"the step function gave logits for {logits.shape[0]} rows, expected {num_rows}")
        if self.largest_id >= logits.shape[1]:
            raise RequestError(
                f"The search was told of symbol {self.largest_id}, but the model knows only the symbols "
                f"0 to {logits.shape[1] - 1}."
            )


def no_continuation(input: int, length: int) -> WorkError:
    """The error for an input none of whose hypotheses can go on or end."""
    return WorkError(
        f"The search found no symbol {length + 1} for input {input} of the batch: "
        f"every symbol is forbidden or has probability 0."
    )


def make_rules(request: SearchRequest, *, copies: int = 1) -> Rules:
    """Checks the arguments of a search; raises RequestError with a sentence naming the wrong one.

    With `copies`, every input is searched so many times, as so many neighbouring groups.
    """
    max_lengths, prefixes = request.max_lengths, request.prefixes
    if any(length < 0 for length in max_lengths):
        raise RequestError(f"'max_lengths' has the entry {min(max_lengths)}, expected 0 or more.")
    if request.end_id in request.forbidden_ids:
        raise RequestError(f"'forbidden_ids' has the end symbol {request.end_id}, without which nothing can end.")
    if not 0 <= request.length_penalty <= LARGEST_LENGTH_PENALTY:
        raise RequestError(
            f"'length_penalty' is {request.length_penalty}, expected a number from 0 to {LARGEST_LENGTH_PENALTY:g}."
        )
    ids = [request.start_id, request.end_id, *request.forbidden_ids]
    ids += [token for prefix in prefixes or () for token in prefix]
    if min(ids) < 0:
        raise RequestError(f"The search was told of symbol {min(ids)}, but symbols are numbered from 0.")
    device = request.device
    padded = None if prefixes is None else _pad_prefixes(prefixes, max_lengths, request.end_id)
    return Rules(
        start_id=request.start_id,
        end_id=request.end_id,
        max_lengths=torch.tensor(max_lengths, dtype=torch.int64, device=device).repeat_interleave(copies),
        forbidden=torch.tensor(sorted(set(request.forbidden_ids)), dtype=torch.int64, device=device),
        min_length=request.min_length,
        prefixes=None if padded is None else padded.to(device).repeat_interleave(copies, dim=0),
        # float32 holds the table where a device has no float64; a float64 search keeps every bit.
        penalties=_penalties(max(max_lengths, default=0), request.length_penalty, device),
        largest_id=max(ids),
        copies=copies,
    )


def refuse_phrases(request: SearchRequest, method: str) -> None:
    """Raises a RequestError for a search that cannot make phrases appear, where some are asked for."""
    if any(request.phrases or ()):
        raise RequestError(f"Phrases that must appear are found by beam search only, but the method is {method}.")


def _penalties(longest: int, length_penalty: float, device: torch.device | str | None) -> Float[Tensor, "lengths"]:
    has_float64 = torch.device(device or "cpu").type != "mps"
    dtype = torch.float64 if has_float64 else torch.float32
    return torch.tensor(penalty_table(longest, length_penalty), dtype=dtype, device=device)


def _pad_prefixes(
    prefixes: Sequence[Sequence[int]], max_lengths: Sequence[int], end_id: int
) -> Int[Tensor, "groups prefix"]:
    if len(prefixes) != len(max_lengths):
        raise RequestError(f"'prefixes' has {len(prefixes)} entries, expected one per input: {len(max_lengths)}.")
    for index, (prefix, max_length) in enumerate(zip(prefixes, max_lengths, strict=True)):
        if end_id in prefix:
            raise RequestError(f"The prefix of input {index} has the end symbol {end_id}; leave it out.")
        if len(prefix) > max_length:
            raise RequestError(
                f"The prefix of input {index} has {len(prefix)} symbols, more than its maximum length {max_length}."
            )
    padded = torch.full((len(prefixes), max(map(len, prefixes), default=0)), -1, dtype=torch.int64)
    for index, prefix in enumerate(prefixes):
        padded[index, : len(prefix)] = torch.tensor(prefix, dtype=torch.int64)
    return padded
