"""The loop of the searches that follow one path per row and never look back: greedy search and sampling."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from seqlens.decoding.history import Ending, History
from seqlens.decoding.rules import DEAD, Rules, no_continuation
from seqlens.decoding.step import SearchState, StepFunction

Choose = Callable[[Float[Tensor, "rows vocab"], Int[Tensor, "rows"]], Int[Tensor, "rows"]]
"""Chooses a symbol for every row from its log-probabilities; the second argument numbers the rows' paths."""


def follow_paths(
    step: StepFunction, state: SearchState, choose: Choose, rules: Rules, *, per_input: int
) -> tuple[History, list[Ending]]:
    """Follows `per_input` paths for every input until each has ended or reached its maximum length.

    Paths are numbered `input * per_input + rank`. An input leaves the batch when all its paths are over; until
    then a path that is over takes part in steps, as the state wants equally many rows an input, to no effect.
    """
    inputs = rules.start()
    device = inputs.device
    paths = (inputs[:, None] * per_input + torch.arange(per_input, device=device)).flatten()
    if len(inputs) and (per_input > 1 or len(inputs) < len(rules.max_lengths)):
        stay = None if len(inputs) == len(rules.max_lengths) else inputs
        state = state.reorder(inputs.repeat_interleave(per_input), stay)
    history = History()
    endings: list[Ending] = []
    tokens = torch.full_like(paths, rules.start_id)
    log_probs = torch.zeros(len(paths), device=device)
    children = torch.zeros_like(paths)
    running = torch.ones_like(paths, dtype=torch.bool)
    length = 0
    while len(paths):
        groups = paths // per_input
        logits, state, alignment = step(tokens, state)
        next_log_probs = rules.next_log_probs(logits, groups=groups, alive=running, length=length)
        tokens = choose(next_log_probs, paths)
        log_probs = log_probs + next_log_probs.gather(1, tokens[:, None])[:, 0]
        rows = torch.arange(len(paths), device=device)
        history.add(tokens, rows, alignment)

        impossible = running & (log_probs == DEAD)
        ended = running & (tokens == rules.end_id)
        over = ended | (running & (rules.max_lengths[groups] <= length + 1))
        if bool((over | impossible).any()):
            if bool(impossible.any()):
                raise no_continuation(int(groups[impossible][0]), length)
            endings.append(
                Ending(
                    slots=paths[over],
                    log_probs=log_probs[over],
                    scores=rules.score(log_probs[over], torch.full_like(paths[over], length + 1)),
                    # A path that ended points back at its last symbol before the end.
                    depths=torch.where(ended[over], length, length + 1),
                    children=torch.where(ended, children, rows)[over],
                    finished=ended[over],
                )
            )
            running = running & ~over
        length += 1
        stay_mask = running.view(-1, per_input).any(dim=1)
        children = rows
        if not bool(stay_mask.all()):
            children = rows[stay_mask.repeat_interleave(per_input)]
            paths, tokens = paths[children], tokens[children]
            log_probs, running = log_probs[children], running[children]
            if len(paths):
                state = state.reorder(children, stay_mask.nonzero()[:, 0])
        history.select(children)
    return history, endings
