"""Beam search over a step function, batched over inputs, exact where the beam is as wide as the search space."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from seqlens.decoding.history import Ending, History, read_hypotheses
from seqlens.decoding.hypothesis import Hypothesis
from seqlens.decoding.ranking import best_symbols
from seqlens.decoding.rules import DEAD, Rules, make_rules, no_continuation
from seqlens.decoding.step import SearchState, StepFunction
from seqlens.errors import RequestError

Stopping = Literal["bound", "full"]


class _Live(NamedTuple):
    """The unfinished hypotheses of the inputs still searched, best first."""

    groups: Int[Tensor, "groups"]  # index of each input in the batch as given
    log_probs: Float[Tensor, "groups width"]  # -inf where the beam is not filled
    children: Int[Tensor, "groups width"]  # place of the last symbol in the history


class _Kept(NamedTuple):
    """The best finished hypotheses of the same inputs, best first; -inf where there is none yet."""

    log_probs: Float[Tensor, "groups kept"]
    scores: Float[Tensor, "groups kept"]
    depths: Int[Tensor, "groups kept"]
    children: Int[Tensor, "groups kept"]
    num_found: Int[Tensor, "groups"]  # finished hypotheses met so far, kept or not


class _Expansion(NamedTuple):
    """The continuations of one step: those that go on, and those among the best that end (others -inf)."""

    log_probs: Float[Tensor, "groups width"]
    tokens: Int[Tensor, "groups width"]
    rows: Int[Tensor, "groups width"]
    end_log_probs: Float[Tensor, "groups width"]
    end_rows: Int[Tensor, "groups width"]


Record = TypeVar("Record", _Live, _Kept, _Expansion)


@torch.no_grad()
def beam_search(
    step: StepFunction,
    state: SearchState,
    *,
    num_groups: int,
    start_id: int,
    end_id: int,
    max_lengths: Sequence[int],
    beam_width: int = 5,
    length_penalty: float = 1.0,
    num_best: int = 1,
    forbidden_ids: Sequence[int] = (),
    min_length: int = 0,
    prefixes: Sequence[Sequence[int]] | None = None,
    stopping: Stopping = "bound",
    device: torch.device | str | None = None,
) -> list[list[Hypothesis]]:
    """The best outputs found for every input, best first: up to `num_best` each, all different.

    In a step every unfinished hypothesis of an input is continued by every symbol. Of these candidates, those
    that end and are among the best `beam_width` are finished; the best `beam_width` that do not end go on.
    Equal candidates are taken in the order of their hypotheses and then of their symbols' ids.

    When an input is done, by `stopping`:
    - `"bound"`: when no unfinished hypothesis can beat the `num_best`-th finished one. A log-probability only
      falls and a length is at most the maximum, so an unfinished hypothesis of log-probability `p` can reach at
      most `p / max_length ** length_penalty`. With a beam as wide as the search space this finds exactly what
      enumerating all outputs finds.
    - `"full"`: also when `beam_width` hypotheses are finished; quicker, and what many toolkits do.
    A beam of width 1 always stops at its first finished hypothesis: it is greedy search.

    Args:
        step: the model; it is given the last symbol of every row.
        state: the state of `num_groups` rows, one an input.
        max_lengths: for every input the largest number of symbols, the end included. 0 gives an empty,
            unfinished hypothesis. At the maximum, unfinished hypotheses are returned only where fewer than
            `num_best` finished ones exist, and after these.
        length_penalty: 0 or more, see `Hypothesis`.
        forbidden_ids: symbols never chosen (padding, start, perhaps unknown).
        min_length: the smallest number of symbols, the end included.
        prefixes: symbols forced at the start of each output, forbidden or not; they count in the
            log-probability, the length and the tokens returned.
        device: where `step` wants its symbols; the CPU if None.

    Raises:
        RequestError: an argument is out of range.
        WorkError: the model gave NaN, or nothing that may come next for an input with nothing finished.
    """
    _check_widths(beam_width, num_best)
    rules = make_rules(
        num_groups=num_groups,
        start_id=start_id,
        end_id=end_id,
        max_lengths=max_lengths,
        length_penalty=length_penalty,
        forbidden_ids=forbidden_ids,
        min_length=min_length,
        prefixes=prefixes,
        device=device,
    )
    groups = rules.start()
    if 0 < len(groups) < num_groups:
        state = state.reorder(groups, groups)
    history = History()
    endings: list[Ending] = []
    live = _Live(groups, torch.zeros(len(groups), 1, device=device), torch.zeros_like(groups)[:, None])
    kept = _nothing_kept(groups, num_best)
    tokens = torch.full_like(groups, start_id)
    stop_when_found = beam_width if stopping == "full" or beam_width == 1 else None
    length = 0
    while len(live.groups):
        logits, state, alignment = step(tokens, state)
        rows_groups = live.groups.repeat_interleave(live.log_probs.shape[1])
        alive = live.log_probs.flatten() > DEAD
        log_probs = rules.next_log_probs(logits, groups=rows_groups, alive=alive, length=length)
        new = _expand(log_probs, live.log_probs, width=beam_width, end_id=end_id)
        kept = _keep(kept, new, live, rules, length=length)
        history.add(new.tokens.flatten(), new.rows.flatten(), alignment)
        length += 1
        children = torch.arange(new.tokens.numel(), device=device).view_as(new.tokens)
        live = _Live(live.groups, new.log_probs, children)
        done = _is_done(live, kept, rules, length=length, stop_when_found=stop_when_found)
        if bool(done.any()):
            endings.append(_end(_pick(live, done), _pick(kept, done), rules, length=length))
            stay = (~done).nonzero()[:, 0]
            live, kept = _pick(live, stay), _pick(kept, stay)
            new = _pick(new, stay)
        else:
            stay = None
        if len(live.groups):
            state = state.reorder(new.rows.flatten(), stay)
            history.select(live.children.flatten())
            tokens = new.tokens.flatten()
    return read_hypotheses(history, endings, max_lengths=max_lengths, per_input=num_best)


def _check_widths(beam_width: int, num_best: int) -> None:
    if beam_width < 1:
        raise RequestError(f"'beam_width' is {beam_width}, expected 1 or more.")
    if not 1 <= num_best <= beam_width:
        raise RequestError(f"'num_best' is {num_best}, expected 1 to the beam width {beam_width}.")


def _expand(
    log_probs: Float[Tensor, "rows vocab"], before: Float[Tensor, "groups width_now"], *, width: int, end_id: int
) -> _Expansion:
    num_groups, width_now = before.shape
    # No row gives more than `width` that go on and one that ends.
    values, ids = best_symbols(log_probs, width + 1)
    scores = (values.view(num_groups, width_now, -1) + before[:, :, None]).flatten(1)
    tokens = ids.reshape(num_groups, -1)
    rows = torch.arange(len(ids), device=ids.device).repeat_interleave(ids.shape[1]).view_as(tokens)
    is_end = tokens == end_id
    # Room for a beam that few candidates fill: dead ones that continue the first row of their input.
    scores = torch.cat([scores, scores.new_full((num_groups, width), DEAD)], dim=1)
    tokens = torch.cat([tokens, tokens.new_zeros(num_groups, width)], dim=1)
    rows = torch.cat([rows, rows[:, :1].expand(-1, width)], dim=1)
    is_end = torch.cat([is_end, is_end.new_zeros(num_groups, width)], dim=1)

    scores, order = scores.sort(dim=1, descending=True, stable=True)
    tokens, rows, is_end = tokens.gather(1, order), rows.gather(1, order), is_end.gather(1, order)
    going_on = is_end.to(torch.uint8).sort(dim=1, stable=True).indices[:, :width]
    return _Expansion(
        log_probs=scores.gather(1, going_on),
        tokens=tokens.gather(1, going_on),
        rows=rows.gather(1, going_on),
        end_log_probs=scores[:, :width].masked_fill(~is_end[:, :width], DEAD),
        end_rows=rows[:, :width],
    )


def _keep(kept: _Kept, new: _Expansion, live: _Live, rules: Rules, *, length: int) -> _Kept:
    """Merges the hypotheses that ended after `length` symbols into the best kept so far."""
    num_kept = kept.scores.shape[1]
    depths = torch.full_like(new.end_rows, length)
    scores = torch.cat([kept.scores, rules.score(new.end_log_probs, depths + 1)], dim=1)
    scores, order = scores.sort(dim=1, descending=True, stable=True)
    order = order[:, :num_kept]
    return _Kept(
        log_probs=torch.cat([kept.log_probs, new.end_log_probs], dim=1).gather(1, order),
        scores=scores[:, :num_kept],
        depths=torch.cat([kept.depths, depths], dim=1).gather(1, order),
        children=torch.cat([kept.children, live.children.flatten()[new.end_rows]], dim=1).gather(1, order),
        num_found=kept.num_found + (new.end_log_probs > DEAD).sum(dim=1),
    )


def _is_done(
    live: _Live, kept: _Kept, rules: Rules, *, length: int, stop_when_found: int | None
) -> Bool[Tensor, "groups"]:
    max_lengths = rules.max_lengths[live.groups]
    attainable = rules.score(live.log_probs[:, 0], max_lengths)
    done = (kept.scores[:, -1] >= attainable) | (max_lengths <= length)
    return done if stop_when_found is None else done | (kept.num_found >= stop_when_found)


def _end(live: _Live, kept: _Kept, rules: Rules, *, length: int) -> Ending:
    """The answers of inputs that are done: finished hypotheses, then unfinished ones of maximum length."""
    num_kept = kept.scores.shape[1]
    at_max = rules.max_lengths[live.groups] <= length
    rest = live.log_probs[:, :num_kept].masked_fill(~at_max[:, None], DEAD)
    rest_depths = torch.full_like(live.children[:, :num_kept], length)
    log_probs = torch.cat([kept.log_probs, rest], dim=1)
    usable = log_probs > DEAD
    rank = usable.cumsum(dim=1) - 1
    usable &= rank < num_kept
    nothing = ~usable.any(dim=1)
    if bool(nothing.any()):
        raise no_continuation(int(live.groups[nothing][0]), length - 1)
    return Ending(
        slots=(live.groups[:, None] * num_kept + rank)[usable],
        log_probs=log_probs[usable],
        scores=torch.cat([kept.scores, rules.score(rest, rest_depths)], dim=1)[usable],
        depths=torch.cat([kept.depths, rest_depths], dim=1)[usable],
        children=torch.cat([kept.children, live.children[:, :num_kept]], dim=1)[usable],
        finished=torch.cat([kept.scores > DEAD, torch.zeros_like(rest, dtype=torch.bool)], dim=1)[usable],
    )


def _nothing_kept(groups: Int[Tensor, "groups"], num_best: int) -> _Kept:
    nothing = torch.full((len(groups), num_best), DEAD, device=groups.device)
    nowhere = torch.zeros((len(groups), num_best), dtype=torch.int64, device=groups.device)
    return _Kept(nothing, nothing, nowhere, nowhere, torch.zeros_like(groups))


def _pick(record: Record, index: Tensor) -> Record:
    """The same record of some of its inputs."""
    return type(record)._make(column[index] for column in record)
