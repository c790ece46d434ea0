"""Finds the pieces of a unigram language model by expectation maximisation and pruning: Kudo 2018, section 3.2.

The library tokenizers has a trainer for this model, too. It is not used because its scores differ from process to
process (it adds floating-point numbers in no fixed order), and because its pieces are worse: with 8,000 of them, it cut
29,000 English captions into a third more pieces than this trainer does. Here numpy goes through all words at once.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import final

import numpy as np
from jaxtyping import Bool, Float, Int

MAX_PIECE_LENGTH = 16
_MAX_POSITIONS = 2_000_000  # bounds memory: of more text, the most frequent runs are used
_CANDIDATES_PER_PIECE = 16
_NUM_STEPS = 2  # of expectation maximisation before each pruning
_SHRINKING = 0.75  # the share of the pieces that a pruning keeps at least
_MIN_EXPECTED = 0.5  # a longer piece expected less often goes, a character is taken to be expected this often
_DIGITS = 5  # of scores and losses; what differs less is equal, whatever the machine's arithmetic

Integers = Int[np.ndarray, "_"]
Floats = Float[np.ndarray, "_"]


def train_unigram(runs: Mapping[str, int], alphabet: Sequence[str], num_pieces: int) -> list[tuple[str, float]]:
    """Returns at most `num_pieces` pieces and their log probabilities: the alphabet, then the others, likeliest first.

    Takes how often each run of characters of the alphabet occurs. The order of the runs makes no difference.
    """
    text = _lay_out(runs, alphabet)
    candidates = _find_candidates(text, len(alphabet), _CANDIDATES_PER_PIECE * num_pieces)
    scores = np.log(candidates.gains + 1.0) - np.log(candidates.gains.sum())
    while True:
        lattice = _build_lattice(text, candidates, scores)
        for _ in range(_NUM_STEPS):
            expected = _expected_counts(text, lattice, scores)
            scores = _scores_of(expected, candidates.lengths)
        alive = int(np.isfinite(scores).sum())
        if alive <= num_pieces:
            break
        target = max(num_pieces, int(alive * _SHRINKING))
        scores = _prune(candidates, scores, expected, alive - target)
    longer: list[tuple[str, float]] = []
    for index in np.flatnonzero(np.isfinite(scores))[len(alphabet) :].tolist():
        place, length = int(candidates.places[index]), int(candidates.lengths[index])
        piece = "".join([alphabet[code] for code in text.codes[place : place + length].tolist()])
        longer.append((piece, round(float(scores[index]), _DIGITS)))
    firsts = scores[: len(alphabet)].tolist()
    characters = [(character, round(score, _DIGITS)) for character, score in zip(alphabet, firsts, strict=True)]
    return characters + sorted(longer, key=lambda entry: (-entry[1], entry[0]))


@final
@dataclass(frozen=True, slots=True)
class _Text:
    """All different runs, one after another, each with one more position for its end."""

    codes: Int[np.ndarray, "positions"]  # index in the alphabet; -1 at an end
    offsets: Int[np.ndarray, "positions"]  # characters of the run before this position
    remaining: Int[np.ndarray, "positions"]  # characters of the run from this position on
    weights: Float[np.ndarray, "positions"]  # how often the run occurs
    ends: Int[np.ndarray, "positions"]  # the position of the run's end


@final
@dataclass(frozen=True, slots=True)
class _Candidates:
    """The pieces to choose from, the alphabet first."""

    places: Integers  # one position where the piece occurs; -1 for a character that does not
    lengths: Integers
    gains: Floats  # characters that the piece covers
    table: Int[np.ndarray, "positions lengths"]  # which piece has this length and occurs at this position, or -1


@final
@dataclass(frozen=True, slots=True)
class _Lattice:
    """Each place where a piece occurs, as an edge between the positions at its start and its end."""

    starts: Integers
    ends: Integers
    pieces: Integers
    forward: Integers  # the edges by how far their end is from the start of the run, then by their end
    backward: Integers  # the edges by how far their start is from the end of the run, then by their start


def _lay_out(runs: Mapping[str, int], alphabet: Sequence[str]) -> _Text:
    indices = {character: index for index, character in enumerate(alphabet)}
    codes: list[int] = []
    lengths: list[int] = []
    counts: list[int] = []
    for run, count in sorted(runs.items(), key=lambda entry: (-entry[1], entry[0])):
        if len(codes) + len(run) + 1 > _MAX_POSITIONS:
            break
        codes.extend(indices[character] for character in run)
        codes.append(-1)
        lengths.append(len(run))
        counts.append(count)
    sizes = np.asarray(lengths, np.int64) + 1
    firsts = np.cumsum(sizes) - sizes
    offsets = np.arange(len(codes)) - np.repeat(firsts, sizes)
    remaining = np.repeat(sizes - 1, sizes) - offsets
    weights = np.repeat(np.asarray(counts, np.float64), sizes)
    return _Text(np.asarray(codes, np.int64), offsets, remaining, weights, np.repeat(firsts + sizes - 1, sizes))


def _find_candidates(text: _Text, num_characters: int, limit: int) -> _Candidates:
    """Returns the substrings seen twice or more that cover the most characters.

    A substring that is always followed by the same character is left out, since the longer one stands for it.
    """
    table = np.full((len(text.codes), MAX_PIECE_LENGTH + 1), -1, np.int32)
    places = [np.full(num_characters, -1)]
    gains = [np.full(num_characters, np.inf)]  # no character is ever left out
    lengths = [np.ones(num_characters, np.int64)]
    for length, at, groups, counts, is_branching in _repeated_substrings(text, num_characters):
        if length == 1:
            places[0][groups[::-1]] = at[::-1]
            table[at, 1] = groups
            continue
        table[at, length] = groups + sum(map(len, places))
        first = np.zeros(len(counts), np.int64)
        first[groups[::-1]] = at[::-1]
        places.append(first)
        gains.append(np.where(is_branching, counts * length, 0.0))
        lengths.append(np.full(len(counts), length))
    all_gains = np.concatenate(gains)
    kept = np.argsort(-all_gains, kind="stable")[: max(limit, num_characters)]
    kept = np.sort(kept[all_gains[kept] > 0])
    new_indices = np.full(len(all_gains) + 1, -1, np.int32)  # the last one is for "no piece", which is index -1
    new_indices[kept] = np.arange(len(kept))
    known = np.bincount(text.codes[text.codes >= 0], text.weights[text.codes >= 0], num_characters)
    kept_gains = np.concatenate([known, all_gains[kept[num_characters:]]])
    return _Candidates(np.concatenate(places)[kept], np.concatenate(lengths)[kept], kept_gains, new_indices[table])


def _repeated_substrings(
    text: _Text, num_characters: int
) -> Iterator[tuple[int, Integers, Integers, Floats, Bool[np.ndarray, "groups"]]]:
    """Yields, for each length, the positions of repeated substrings, the group of equal ones that each belongs to, how
    often each group occurs in the text, and whether it is followed by different characters (or ends)."""
    at = np.flatnonzero(text.remaining >= 1)
    groups = text.codes[at]
    counts = np.bincount(groups, text.weights[at], num_characters)
    for length in range(2, MAX_PIECE_LENGTH + 2):
        longer = text.remaining[at] >= length
        next_at = at[longer]
        keys, next_groups = np.unique(
            groups[longer] * num_characters + text.codes[next_at + length - 1], return_inverse=True
        )
        next_counts = np.bincount(next_groups, text.weights[next_at], len(keys))
        longest_use = np.zeros(len(counts))
        np.maximum.at(longest_use, keys // num_characters, next_counts)
        yield length - 1, at, groups, counts, longest_use < counts
        is_repeated = next_counts >= 2
        kept = is_repeated[next_groups]
        at = next_at[kept]
        groups = (np.cumsum(is_repeated) - 1)[next_groups[kept]]
        counts = next_counts[is_repeated]
        if not len(at):
            return


def _build_lattice(text: _Text, candidates: _Candidates, scores: Floats) -> _Lattice:
    """Returns the edges of the pieces whose score is finite."""
    is_alive = np.append(np.isfinite(scores), False)  # the last one is for "no piece", which is index -1
    starts, lengths = np.nonzero(is_alive[candidates.table])
    ends = starts + lengths
    forward = np.lexsort((starts, ends, text.offsets[ends]))
    backward = np.lexsort((ends, starts, text.remaining[starts]))
    return _Lattice(starts, ends, candidates.table[starts, lengths].astype(np.int64), forward, backward)


def _expected_counts(text: _Text, lattice: _Lattice, scores: Floats) -> Floats:
    """Returns how often each piece is expected, over all ways to cut all runs: the forward-backward algorithm."""
    edge_scores = scores[lattice.pieces]
    before = _sweep(text.offsets, lattice.starts, lattice.ends, edge_scores, lattice.forward)
    after = _sweep(text.remaining, lattice.ends, lattice.starts, edge_scores, lattice.backward)
    whole = before[text.ends[lattice.starts]]
    shares = np.exp(before[lattice.starts] + edge_scores + after[lattice.ends] - whole)
    counts: Floats = np.bincount(lattice.pieces, text.weights[lattice.starts] * shares, len(scores))
    return counts


def _sweep(levels: Integers, sources: Integers, targets: Integers, scores: Floats, order: Integers) -> Floats:
    """Returns for each position the log of the summed probabilities of all paths to it.

    Positions at level 0 start the paths. All edges to one level are handled at once: `order` sorts them by the level of
    their target, then by the target.
    """
    totals = np.zeros(len(levels))
    sources, targets, scores = sources[order], targets[order], scores[order]
    target_levels = levels[targets]
    bounds = np.searchsorted(target_levels, np.arange(1, target_levels[-1] + 2))
    for low, high in pairwise(bounds.tolist()):
        values = totals[sources[low:high]] + scores[low:high]
        goals = targets[low:high]
        firsts = np.flatnonzero(np.append(True, goals[1:] != goals[:-1]))
        highest = np.maximum.reduceat(values, firsts)
        sizes = np.diff(np.append(firsts, high - low))
        totals[goals[firsts]] = highest + np.log(np.add.reduceat(np.exp(values - np.repeat(highest, sizes)), firsts))
    return totals


def _scores_of(expected: Floats, lengths: Integers) -> Floats:
    """Returns log probabilities, by the digamma function, which keeps rare pieces few; -inf for those that go."""
    is_alive = (expected >= _MIN_EXPECTED) | (lengths == 1)
    counts = np.where(is_alive, np.maximum(expected, _MIN_EXPECTED), 0.0)
    total = _digamma(counts.sum(keepdims=True))
    return np.where(is_alive, _digamma(np.maximum(counts, _MIN_EXPECTED)) - total, -np.inf)


def _digamma(values: Floats) -> Floats:
    """Returns the digamma function by its asymptotic series (Abramowitz and Stegun 6.3.18), shifted by 6.3.5."""
    result = np.zeros(len(values))
    for shift in range(6):
        result -= 1 / (values + shift)
    shifted = values + 6
    inverse = 1 / shifted**2
    result += np.log(shifted) - 0.5 / shifted - inverse * (1 / 12 - inverse * (1 / 120 - inverse / 252))
    return result


def _prune(candidates: _Candidates, scores: Floats, expected: Floats, num_dropped: int) -> Floats:
    """Returns the scores with -inf for those pieces without which the text becomes the least unlikely."""
    longer = np.flatnonzero(np.isfinite(scores) & (candidates.lengths > 1))
    losses = expected[longer] * (scores[longer] - _scores_without(candidates, longer, scores))
    by_loss = longer[np.argsort(np.round(losses, _DIGITS), kind="stable")]
    result = scores.copy()
    result[by_loss[:num_dropped]] = -np.inf
    return result


def _scores_without(candidates: _Candidates, chosen: Integers, scores: Floats) -> Floats:
    """Returns the log probability of the likeliest way to cut each chosen piece into shorter ones."""
    scores = np.append(scores, -np.inf)  # the last one is for "no piece", which is index -1
    places, lengths = candidates.places[chosen], candidates.lengths[chosen]
    best = np.full((len(chosen), MAX_PIECE_LENGTH + 1), -np.inf)
    best[:, 0] = 0.0
    for end in range(1, MAX_PIECE_LENGTH + 1):
        rows = np.flatnonzero(lengths >= end)
        for length in range(1, end + 1):
            last = scores[candidates.table[places[rows] + end - length, length]]
            last[lengths[rows] == length] = -np.inf  # the piece itself
            best[rows, end] = np.maximum(best[rows, end], best[rows, end - length] + last)
    result: Floats = best[np.arange(len(chosen)), lengths]
    return result
