"""How the rows of a search came about, step by step, and the hypotheses read back from it."""

from collections.abc import Sequence
from typing import NamedTuple, final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from seqlens.decoding.hypothesis import Hypothesis


class Ending(NamedTuple):
    """Where hypotheses end: `children` points at the last symbol among those chosen in step `depths - 1`."""

    slots: Int[Tensor, "endings"]  # place in the answer: input index * hypotheses per input + rank
    log_probs: Float[Tensor, "endings"]
    scores: Float[Tensor, "endings"]
    depths: Int[Tensor, "endings"]  # symbols without end
    children: Int[Tensor, "endings"]
    finished: Bool[Tensor, "endings"]


@final
class History:
    """Back-pointers: a step stores what it chose and from which row, and nothing is copied as rows are reordered.

    A *row* of step `t` is a row of the state that step was run on. A *child* of step `t` is a symbol chosen
    after it. The rows of step `t + 1` are children of step `t`: those that `select` kept.
    """

    def __init__(self) -> None:
        self._tokens: list[Tensor] = []  # each [children]
        self._rows: list[Tensor] = []  # each [children]
        self._alignments: list[Tensor] = []  # each [rows, source_time]
        self._selected: list[Tensor] = []  # each [rows of the next step]

    def add(
        self,
        tokens: Int[Tensor, "children"],
        rows: Int[Tensor, "children"],
        alignment: Float[Tensor, "rows source_time"] | None,
    ) -> None:
        """Stores a step: the symbols chosen, the row each continues, and where each row looked."""
        self._tokens.append(tokens)
        self._rows.append(rows)
        if alignment is not None:
            self._alignments.append(alignment)

    def select(self, children: Int[Tensor, "next_rows"]) -> None:
        """Stores which children of the last step are the rows of the next."""
        self._selected.append(children)

    def trace(
        self, depths: Int[Tensor, "paths"], children: Int[Tensor, "paths"]
    ) -> tuple[Int[Tensor, "paths time"], Float[Tensor, "paths time source"] | None]:
        """Symbols and alignments from the first to the given ones; what lies beyond a path's depth is arbitrary.

        Alignments are None unless every step gave one. A step whose source axis is shorter than that of
        another (a state may drop padding as inputs leave) is filled with zeros.
        """
        num_steps = int(depths.max()) if len(depths) else 0
        aligned = len(self._alignments) == len(self._tokens) and len(self._alignments) > 0
        source_time = max((alignment.shape[1] for alignment in self._alignments), default=0)
        tokens = torch.zeros(len(depths), num_steps, dtype=torch.int64, device=depths.device)
        alignment = None
        if aligned:
            alignment = self._alignments[0].new_zeros(len(depths), num_steps, source_time)
        pointers = torch.zeros_like(children)
        for step in reversed(range(num_steps)):
            pointers = torch.where(depths == step + 1, children, pointers)
            tokens[:, step] = self._tokens[step][pointers]
            rows = self._rows[step][pointers]
            if alignment is not None:
                alignment[:, step, : self._alignments[step].shape[1]] = self._alignments[step][rows]
            if step > 0:
                # Paths that end before this step stay at 0, a valid place, until their own last step.
                pointers = torch.where(depths > step, self._selected[step - 1][rows], 0)
        return tokens, alignment


def read_hypotheses(
    history: History, endings: Sequence[Ending], *, max_lengths: Sequence[int], per_input: int
) -> list[list[Hypothesis]]:
    """The hypotheses of every input in the order of their slots; an input of maximum length 0 gets an empty one."""
    answers: list[list[Hypothesis]] = [[] for _ in max_lengths]
    for answer, max_length in zip(answers, max_lengths, strict=True):
        if max_length == 0:
            answer.append(Hypothesis(tokens=(), log_prob=0.0, score=0.0, finished=False))
    if not endings:
        return answers
    every = Ending(*(torch.cat(column) for column in zip(*endings, strict=True)))
    order = every.slots.argsort()
    every = Ending(*(column[order] for column in every))
    padded_tokens, padded_alignment = history.trace(every.depths, every.children)
    alignment = None if padded_alignment is None else padded_alignment.cpu()
    all_tokens: list[list[int]] = padded_tokens.tolist()
    columns = (column.tolist() for column in every)
    for index, (slot, log_prob, score, depth, _, finished) in enumerate(zip(*columns, strict=True)):
        hypothesis = Hypothesis(
            tokens=tuple(all_tokens[index][:depth]),
            log_prob=log_prob,
            score=score,
            finished=finished,
            # A copy, so that one kept hypothesis does not keep the alignments of the whole batch in memory.
            alignment=None if alignment is None else alignment[index, :depth].clone(),
        )
        answers[slot // per_input].append(hypothesis)
    return answers
