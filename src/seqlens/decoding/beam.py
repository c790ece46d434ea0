"""Beam search over a step function, batched over inputs, exact where the beam is as wide as the search space."""

from collections.abc import Callable
from typing import Literal, NamedTuple, TypeVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from seqlens.decoding.diversity import expand_apart, merge_parts
from seqlens.decoding.expansion import Expansion, expand
from seqlens.decoding.history import Ending, History, read_hypotheses
from seqlens.decoding.hypothesis import Hypothesis
from seqlens.decoding.phrases import make_phrases
from seqlens.decoding.request import SearchRequest
from seqlens.decoding.rules import DEAD, Rules, make_rules, no_continuation
from seqlens.decoding.step import SearchState, StepFunction
from seqlens.errors import RequestError

Stopping = Literal["bound", "full"]

Expand = Callable[[Tensor, Tensor, Tensor, int], Expansion]
"""From log-probabilities `[rows, vocab]` after so many symbols, those of the hypotheses `[groups, width]`, and the
groups' places in the batch, to the best continuations."""


class _Live(NamedTuple):
    """The unfinished hypotheses of the inputs still searched, best first."""

    groups: Int[Tensor, "groups"]  # index of each group in the batch as given
    log_probs: Float[Tensor, "groups width"]  # -inf where the beam is not filled
    children: Int[Tensor, "groups width"]  # place of the last symbol in the history


class _Kept(NamedTuple):
    """The best finished hypotheses of the same inputs, best first; -inf where there is none yet."""

    log_probs: Float[Tensor, "groups kept"]
    scores: Float[Tensor, "groups kept"]
    depths: Int[Tensor, "groups kept"]
    children: Int[Tensor, "groups kept"]
    num_found: Int[Tensor, "groups"]  # finished hypotheses met so far, kept or not


class _DoneWhen(NamedTuple):
    num_best: int  # so many finished hypotheses that nothing unfinished can beat
    num_found: int | None  # or so many finished at all


Record = TypeVar("Record", _Live, _Kept, Expansion)


@torch.no_grad()
def beam_search(
    step: StepFunction,
    state: SearchState,
    request: SearchRequest,
    *,
    beam_width: int = 5,
    num_best: int = 1,
    stopping: Stopping = "bound",
    diversity_groups: int = 1,
    diversity_penalty: float = 0.5,
) -> list[list[Hypothesis]]:
    """The best outputs found for every input, best first: up to `num_best` each, all different.

    In a step every unfinished hypothesis of an input is continued by every symbol. Of these candidates, those
    that end and are among the best `beam_width` are finished; the best `beam_width` that do not end go on.
    Equal candidates are taken in the order of their hypotheses and then of their symbols' ids. At an input's
    maximum length, unfinished hypotheses are returned only where fewer than `num_best` finished ones exist, and
    after these.

    When an input is done, by `stopping`:
    - `"bound"`: when no unfinished hypothesis can beat the `num_best`-th finished one. A log-probability only
      falls and a length is at most the maximum, so an unfinished hypothesis of log-probability `p` can reach at
      most `p / max_length ** length_penalty`. With a beam as wide as the search space this finds exactly what
      enumerating all outputs finds.
    - `"full"`: also when `beam_width` hypotheses are finished; quicker, and what many toolkits do.
    A beam of width 1 always stops at its first finished hypothesis: it is greedy search.

    Where the request has phrases for an input, its outputs have all of them in them (see `PhraseBeam`).

    Args:
        step: the model; it is given the last symbol of every row.
        state: the state with one row for each input of the request.
        diversity_groups: parts of the beam that are kept apart by `diversity_penalty` (see `expand_apart`), so that
            an n-best list differs in more than a word: it takes the best of each part before the second best of one.
            Parts that find the same outputs still do, so parts of width 1 may together give fewer than `num_best`.

    Raises:
        RequestError: an argument or the request is wrong, or phrases do not fit in the maximum length.
        WorkError: the model gave NaN, or nothing that may come next for an input with nothing finished.
    """
    _check_widths(beam_width, num_best, diversity_groups)
    parts, width = diversity_groups, beam_width // diversity_groups
    # Every part is a group of its own, and searched as an input is; only the rows of an input stay together.
    rules = make_rules(request, copies=parts)
    continued = _choose_expansion(request, width=width, parts=parts, penalty=diversity_penalty)
    device = request.device
    groups = rules.start()
    if parts > 1 or 0 < len(groups) < len(request.max_lengths):
        state = state.reorder(groups // parts, groups[::parts] // parts) if len(groups) else state
    history = History()
    endings: list[Ending] = []
    live = _Live(groups, torch.zeros(len(groups), 1, device=device), torch.zeros_like(groups)[:, None])
    kept = _nothing_kept(groups, num_best)
    tokens = torch.full_like(groups, request.start_id)
    done_when = _DoneWhen(num_best, width if stopping == "full" or width == 1 else None)
    length = 0
    while len(live.groups):
        logits, state, alignment = step(tokens, state)
        rows_groups = live.groups.repeat_interleave(live.log_probs.shape[1])
        alive = live.log_probs.flatten() > DEAD
        log_probs = rules.next_log_probs(logits, groups=rows_groups, alive=alive, length=length)
        new = continued(log_probs, live.log_probs, live.groups, length)
        kept = _keep(kept, new, live, rules, length=length)
        history.add(new.tokens.flatten(), new.rows.flatten(), alignment)
        length += 1
        children = torch.arange(new.tokens.numel(), device=device).view_as(new.tokens)
        live = _Live(live.groups, new.log_probs, children)
        done = _is_done(live, kept, rules, length=length, done_when=done_when)
        if parts > 1:
            done = done.view(-1, parts).all(dim=1).repeat_interleave(parts)
        stay = None
        if bool(done.any()):
            endings.append(_end(_pick(live, done), _pick(kept, done), rules, length=length))
            stay = (~done).nonzero()[:, 0]
            live, kept, new = _pick(live, stay), _pick(kept, stay), _pick(new, stay)
        if len(live.groups):
            inputs_stay = stay if stay is None or parts == 1 else stay[::parts] // parts
            state = state.reorder(new.rows.flatten(), inputs_stay)
            history.select(live.children.flatten())
            tokens = new.tokens.flatten()
    max_lengths = [length for length in request.max_lengths for _ in range(parts)]
    answers = read_hypotheses(history, endings, max_lengths=max_lengths, per_input=num_best)
    return answers if parts == 1 else merge_parts(answers, parts, num_best)


def _choose_expansion(request: SearchRequest, *, width: int, parts: int, penalty: float) -> Expand:
    phrases, end_id = make_phrases(request, width=width, parts=parts), request.end_id
    if phrases is not None:
        return phrases.expand
    if parts > 1:
        return lambda log_probs, before, groups, length: expand_apart(
            log_probs, before, width=width, end_id=end_id, parts=parts, penalty=penalty
        )
    return lambda log_probs, before, groups, length: expand(log_probs, before, width=width, end_id=end_id)


def _check_widths(beam_width: int, num_best: int, diversity_groups: int) -> None:
    if beam_width < 1:
        raise RequestError(f"'beam_width' is {beam_width}, expected 1 or more.")
    if not 1 <= num_best <= beam_width:
        raise RequestError(f"'num_best' is {num_best}, expected 1 to the beam width {beam_width}.")
    if diversity_groups < 1 or beam_width % diversity_groups:
        raise RequestError(
            f"'diversity_groups' is {diversity_groups}, expected a divisor of the beam width {beam_width}."
        )


def _keep(kept: _Kept, new: Expansion, live: _Live, rules: Rules, *, length: int) -> _Kept:
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


def _is_done(live: _Live, kept: _Kept, rules: Rules, *, length: int, done_when: _DoneWhen) -> Bool[Tensor, "groups"]:
    max_lengths = rules.max_lengths[live.groups]
    attainable = rules.score(live.log_probs[:, 0], max_lengths)
    done = (kept.scores[:, done_when.num_best - 1] >= attainable) | (max_lengths <= length)
    return done if done_when.num_found is None else done | (kept.num_found >= done_when.num_found)


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
        raise no_continuation(int(live.groups[nothing][0]) // rules.copies, length - 1)
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
