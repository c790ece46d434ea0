"""Lexical constraints: phrases that must stand in the output, by dynamic beam allocation (Post and Vilar 2018).

Where a hypothesis stands in each phrase is the state of a finite automaton (Knuth, Morris and Pratt 1977), so that
phrases may overlap, repeat their own beginning, and come about without being forced.
"""

from collections.abc import Sequence
from typing import NamedTuple, final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from seqlens.decoding.expansion import Candidates, Expansion, join, part
from seqlens.decoding.ranking import best_symbols
from seqlens.decoding.request import Phrase, SearchRequest
from seqlens.decoding.rules import DEAD
from seqlens.errors import RequestError


class _Automata(NamedTuple):
    """The automata of every group's phrases; the state is how much of the phrase the hypothesis ends with.

    A phrase that was met stays met, in its last state. Where a group has fewer phrases than another, the rest are
    empty and met from the start. Symbol 0 is any that is in no phrase of the batch.
    """

    alphabet: Int[Tensor, " symbols"]  # ids, ascending; place `i` is symbol `i + 1`
    lengths: Int[Tensor, "groups phrases"]
    following: Int[Tensor, "groups phrases states symbols_and_other"]
    wanted: Int[Tensor, "groups phrases states"]  # the id that goes on with the phrase; -1 where it is met

    def step(
        self, groups: Int[Tensor, "some"], states: Int[Tensor, "some many phrases"], ids: Int[Tensor, "some many"]
    ) -> Int[Tensor, "some many phrases"]:
        """The states after one more symbol each."""
        place = torch.searchsorted(self.alphabet, ids).clamp(max=len(self.alphabet) - 1)
        symbols = torch.where(self.alphabet[place] == ids, place + 1, 0)
        phrases = torch.arange(states.shape[2], device=states.device)
        return self.following[groups[:, None, None], phrases, states, symbols[:, :, None]]


class _Progress(NamedTuple):
    """What is known of hypotheses by their states."""

    met: Int[Tensor, "groups many"]  # symbols of phrases that stand there, whole phrases or beginnings
    at_least: Int[Tensor, "groups many"]  # symbols without which the phrases cannot be completed
    plan: Int[Tensor, "groups many"]  # symbols that complete them for sure: the one begun most, then the others


@final
class PhraseBeam:
    """The continuations of a beam whose outputs must have phrases in them.

    The candidates of a step are the best of each hypothesis and those that go on with a phrase. They are sorted into
    banks by how many symbols of phrases they have met, and each bank gets an equal share of the beam, the last one
    what is left over; room that a bank does not need goes to the others in turn, to those with most met first
    (section 3 of the paper). Only a hypothesis that has met all phrases may end.

    Beyond the paper: of the candidates whose phrases still fit in the maximum length for sure, the best one always
    stays in the beam, and what cannot be completed in time leaves it. So an output has all its phrases, at any width.
    """

    def __init__(
        self, automata: _Automata, max_lengths: Int[Tensor, " groups"], *, width: int, end_id: int, num_symbols: int
    ) -> None:
        self._automata = automata
        self._max_lengths = max_lengths
        self._width, self._end_id = width, end_id
        self._num_symbols = num_symbols
        groups, phrases = automata.lengths.shape
        self._states = torch.zeros((groups, 1, phrases), dtype=torch.int64, device=max_lengths.device)

    def expand(
        self,
        log_probs: Float[Tensor, "rows vocab"],
        before: Float[Tensor, "groups width_now"],
        groups: Int[Tensor, " groups"],
        length: int,
    ) -> Expansion:
        """Continues every hypothesis of these groups after `length` symbols; `log_probs` is written to."""
        states = self._states[groups]
        self._forbid_early_ends(log_probs, groups, states)
        remaining = (self._max_lengths[groups] - length - 1)[:, None]
        asked = (self._automata.lengths[groups] > 0).any(dim=1, keepdim=True)
        found = self._candidates(log_probs, before, groups, states, must_end=asked & (remaining == 0))
        after = self._automata.step(groups, self._of_rows(states, found.rows), found.tokens)
        progress = self._progress(groups, after)
        found = found._replace(log_probs=found.log_probs.masked_fill(progress.at_least > remaining, DEAD))
        # What has not ended needs room for its end, too.
        fits = progress.plan + (asked & (found.tokens != self._end_id)) <= remaining
        new = part(found.ordered(self._order(groups, found, progress.met, fits)), self._width, self._end_id)
        best_first = new.log_probs.sort(dim=1, descending=True, stable=True).indices
        new = new._replace(
            log_probs=new.log_probs.gather(1, best_first),
            tokens=new.tokens.gather(1, best_first),
            rows=new.rows.gather(1, best_first),
        )
        self._follow(new, groups, states)
        return new

    def _forbid_early_ends(self, log_probs: Tensor, groups: Tensor, states: Tensor) -> None:
        unmet = (states < self._automata.lengths[groups][:, None]).any(dim=2).flatten()
        log_probs[:, self._end_id] = log_probs[:, self._end_id].masked_fill(unmet, DEAD)

    def _candidates(
        self, log_probs: Tensor, before: Tensor, groups: Tensor, states: Tensor, *, must_end: Bool[Tensor, "groups 1"]
    ) -> Candidates:
        values, ids = best_symbols(log_probs, self._width + 1)
        # With the last symbol what has its phrases may end, however improbable that is.
        rows_each = len(log_probs) // len(groups)
        ends = must_end.repeat_interleave(rows_each, dim=0) & ~(ids == self._end_id).any(dim=1, keepdim=True)
        end_values = log_probs[:, self._end_id, None].masked_fill(~ends, DEAD)
        phrases = torch.arange(states.shape[2], device=states.device)
        wanted = self._automata.wanted[groups[:, None, None], phrases, states].flatten(0, 1)
        # A symbol that several phrases want, or that is among the best anyway, is one candidate.
        again = (wanted[:, :, None] == wanted[:, None]).tril(-1).any(dim=2)
        again |= (wanted[:, :, None] == ids[:, None]).any(dim=2) | (wanted < 0)
        wanted = wanted.clamp(min=0)
        wanted_values = log_probs.gather(1, wanted).masked_fill(again, DEAD)
        end_ids = torch.full_like(wanted[:, :1], self._end_id)
        all_values = torch.cat([values, wanted_values, end_values], 1)
        return join(all_values, torch.cat([ids, wanted, end_ids], 1), before, width=self._width)

    def _progress(self, groups: Tensor, states: Int[Tensor, "groups many phrases"]) -> _Progress:
        lengths = self._automata.lengths[groups][:, None]
        unmet = states < lengths
        missing = ((lengths - states) * unmet).amax(dim=2)
        plan = (lengths * unmet).sum(dim=2) - (states * unmet).amax(dim=2)
        return _Progress(states.sum(dim=2), missing, plan)

    def _order(
        self, groups: Tensor, found: Candidates, met: Tensor, fits: Bool[Tensor, "groups candidates"]
    ) -> Int[Tensor, "groups candidates"]:
        """The candidates in the order in which they are given room."""
        by_score = found.log_probs.sort(dim=1, descending=True, stable=True).indices
        met, fits = met.gather(1, by_score), fits.gather(1, by_score)
        dead = found.log_probs.gather(1, by_score) == DEAD
        banks = self._automata.lengths[groups].sum(dim=1, keepdim=True) + 1
        share = self._width // banks
        room = torch.where(met == banks - 1, self._width - share * (banks - 1), share)
        turn = (_rank_within(met) - room + 1).clamp(min=0)
        # In a turn those with most met come first; within the shares the score decides.
        key = turn * (self._num_symbols + 1) + torch.where(turn > 0, banks - 1 - met, 0)
        key = key.masked_fill(dead, torch.iinfo(key.dtype).max)
        fits = fits & ~dead
        key[fits & (fits.cumsum(dim=1) == 1)] = -1
        return by_score.gather(1, key.sort(dim=1, stable=True).indices)

    def _follow(self, new: Expansion, groups: Tensor, states: Tensor) -> None:
        after = self._automata.step(groups, self._of_rows(states, new.rows), new.tokens)
        if self._states.shape[1] != self._width:
            num_groups, _, num_phrases = self._states.shape
            self._states = self._states.new_zeros(num_groups, self._width, num_phrases)
        self._states[groups] = after

    @staticmethod
    def _of_rows(states: Tensor, rows: Int[Tensor, "groups many"]) -> Tensor:
        """The states of the rows that candidates continue."""
        return states.flatten(0, 1)[rows]


def _rank_within(banks: Int[Tensor, "groups many"]) -> Int[Tensor, "groups many"]:
    """How many entries of the same bank stand before each."""
    sorted_banks, order = banks.sort(dim=1, stable=True)
    first = torch.searchsorted(sorted_banks, sorted_banks)
    ranks = torch.arange(banks.shape[1], device=banks.device) - first
    return torch.empty_like(ranks).scatter_(1, order, ranks)


def make_phrases(request: SearchRequest, *, width: int, parts: int) -> PhraseBeam | None:
    """The beam for the phrases of a request; None where it asks for none.

    Raises:
        RequestError: a phrase is empty or cannot be met.
    """
    if not any(request.phrases or ()):
        return None
    assert request.phrases is not None
    if parts > 1:
        raise RequestError("A beam that is kept apart in groups cannot be made to have phrases in it; ask for one.")
    if len(request.phrases) != len(request.max_lengths):
        raise RequestError(
            f"'phrases' has {len(request.phrases)} entries, expected one per input: {len(request.max_lengths)}."
        )
    every = [list(dict.fromkeys(map(tuple, phrases))) for phrases in request.phrases]
    for number, phrases in enumerate(every):
        _check(request, number, phrases)
    automata = _build(every, request.device)
    max_lengths = torch.tensor(request.max_lengths, dtype=torch.int64, device=request.device)
    num_symbols = max(sum(map(len, phrases)) for phrases in every)
    return PhraseBeam(automata, max_lengths, width=width, end_id=request.end_id, num_symbols=num_symbols)


def _check(request: SearchRequest, number: int, phrases: Sequence[Phrase]) -> None:
    if not all(phrases):
        raise RequestError(f"Input {number} has an empty phrase; leave it out.")
    ruled_out = {request.end_id, *request.forbidden_ids}
    for phrase in phrases:
        for symbol in phrase:
            if symbol < 0 or symbol in ruled_out:
                raise RequestError(f"A phrase of input {number} has the symbol {symbol}, which is never chosen.")
    prefix = request.prefixes[number] if request.prefixes is not None else ()
    needed = len(prefix) + symbols_needed(phrases, prefix) + 1
    if needed > request.max_lengths[number] > 0:
        raise RequestError(
            f"The prefix and phrases of input {number} need {needed} symbols with the end, "
            f"more than its maximum length {request.max_lengths[number]}."
        )


def symbols_needed(phrases: Sequence[Phrase], prefix: Sequence[int] = ()) -> int:
    """How many symbols surely suffice to complete the phrases after a prefix, one phrase after another."""
    begun, unmet = [0], 0
    for phrase in phrases:
        state, table = 0, _transitions(phrase)
        for symbol in prefix:
            state = state if state == len(phrase) else table[state].get(symbol, 0)
        if state < len(phrase):
            unmet += len(phrase)
            begun.append(state)
    return unmet - max(begun)


def _transitions(phrase: Phrase) -> list[dict[int, int]]:
    """For each state before the last, the states that lead further than to 0, by symbol."""
    table: list[dict[int, int]] = []
    fallback = 0  # the state after the phrase without its first symbol
    for state, symbol in enumerate(phrase):
        row = dict(table[fallback]) if state else {}
        row[symbol] = state + 1
        table.append(row)
        if state:
            fallback = table[fallback].get(symbol, 0)
    return table


def _build(every: Sequence[Sequence[Phrase]], device: torch.device | str | None) -> _Automata:
    alphabet = sorted({symbol for phrases in every for phrase in phrases for symbol in phrase})
    place = {symbol: number for number, symbol in enumerate(alphabet, start=1)}
    num_phrases = max(map(len, every))
    num_states = max(len(phrase) for phrases in every for phrase in phrases) + 1
    lengths = torch.zeros(len(every), num_phrases, dtype=torch.int64)
    following = torch.zeros(len(every), num_phrases, num_states, len(alphabet) + 1, dtype=torch.int64)
    wanted = torch.full((len(every), num_phrases, num_states), -1, dtype=torch.int64)
    for group, phrases in enumerate(every):
        for number, phrase in enumerate(phrases):
            lengths[group, number] = len(phrase)
            following[group, number, len(phrase)] = len(phrase)
            wanted[group, number, : len(phrase)] = torch.tensor(phrase)
            for state, row in enumerate(_transitions(phrase)):
                for symbol, after in row.items():
                    following[group, number, state, place[symbol]] = after
    return _Automata(
        torch.tensor(alphabet, dtype=torch.int64, device=device),
        lengths.to(device),
        following.to(device),
        wanted.to(device),
    )
