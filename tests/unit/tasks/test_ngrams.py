"""N-grams with modified Kneser-Ney smoothing, against a plain implementation with dictionaries."""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
import pytest

from seqlens.tasks.generate.baselines import fit_ngrams
from seqlens.tasks.generate.ngrams import KneserNey

SYMBOLS = 6
START = SYMBOLS


def sequences(count: int, seed: int = 0, symbols: int = SYMBOLS) -> list[list[int]]:
    random = np.random.default_rng(seed)
    # Rare symbols and repeated ones, so that all three discounts are met.
    weights = np.arange(1, symbols + 1) ** 2 / sum(number**2 for number in range(1, symbols + 1))
    return [random.choice(symbols, size=random.integers(0, 9), p=weights).tolist() for _ in range(count)]


class Plain:
    """The definition, an n-gram at a time."""

    def __init__(self, texts: Sequence[Sequence[int]], order: int) -> None:
        self.order = order
        padded = [(START, *text) for text in texts]
        raw: list[Counter[tuple[int, ...]]] = [Counter() for _ in range(order + 1)]
        for text in padded:
            for end in range(1, len(text)):
                for size in range(1, min(order, end + 1) + 1):
                    raw[size][text[end + 1 - size : end + 1]] += 1
        self.counts: list[Counter[tuple[int, ...]]] = [Counter() for _ in range(order + 1)]
        self.counts[order] = raw[order]
        for size in range(1, order):
            before: defaultdict[tuple[int, ...], set[int]] = defaultdict(set)
            for text in padded:
                for end in range(1, len(text)):
                    if end >= size:
                        before[text[end + 1 - size : end + 1]].add(text[end - size])
            for gram, count in raw[size].items():
                self.counts[size][gram] = count if gram[0] == START else len(before[gram])
        self.discounts = [(0.0, 0.0, 0.0)] + [self._discounts(counts) for counts in self.counts[1:]]

    def _discounts(self, counts: Counter[tuple[int, ...]]) -> tuple[float, float, float]:
        n = [sum(value == wanted for value in counts.values()) for wanted in range(5)]
        if 0 in n[1:]:
            return (0.5, 1.0, 1.5)
        y = n[1] / (n[1] + 2 * n[2])
        found = tuple(k - (k + 1) * y * n[k + 1] / n[k] for k in (1, 2, 3))
        return found if all(0 <= d <= k for k, d in enumerate(found, 1)) else (0.5, 1.0, 1.5)  # type: ignore[return-value]

    def probability(self, context: tuple[int, ...], symbol: int) -> float:
        context = ((START, *context))[-(self.order - 1) :] if self.order > 1 else ()
        return self._level(context, symbol)

    def _level(self, context: tuple[int, ...], symbol: int) -> float:
        size = len(context) + 1
        lower = self._level(context[1:], symbol) if context else 1 / SYMBOLS
        following = {gram: count for gram, count in self.counts[size].items() if gram[:-1] == context}
        total = sum(following.values())
        if not total:
            return lower
        d = (0.0, *self.discounts[size])
        taken = sum(d[min(count, 3)] for count in following.values())
        own = following.get((*context, symbol), 0)
        return (own - d[min(own, 3)]) / total + taken / total * lower


@pytest.mark.parametrize("order", [1, 2, 3, 4, 7])
def test_every_probability_is_that_of_the_definition(order: int) -> None:
    texts = sequences(60)
    model, plain = KneserNey(texts, order=order, num_symbols=SYMBOLS), Plain(texts, order)
    larger = KneserNey(texts, order=order + 2, num_symbols=SYMBOLS)
    for text in [*texts[:6], *sequences(4, seed=1), [0, 0, 0, 0, 0, 0]]:
        for end in range(len(text) + 1):
            found = model.distribution(text[:end])
            expected = [plain.probability(tuple(text[:end]), symbol) for symbol in range(SYMBOLS)]
            np.testing.assert_allclose(found, expected, rtol=1e-12)
            # One count gives the models of all smaller orders, too.
            np.testing.assert_allclose(larger.distribution(text[:end], order=order), expected, rtol=1e-12)


@pytest.mark.parametrize("order", [1, 2, 3, 5, 9])
def test_probabilities_sum_to_one_after_any_context(order: int) -> None:
    model = KneserNey(sequences(200), order=order, num_symbols=SYMBOLS)
    for text in [[], [5], [0, 0, 0], *sequences(40, seed=3)]:
        assert model.distribution(text).sum() == pytest.approx(1.0, abs=1e-12)
        assert (model.distribution(text) > 0).all()


def test_symbols_that_never_come_take_no_probability() -> None:
    texts = [[symbol + 2 for symbol in text] for text in sequences(100, symbols=4)]
    model = KneserNey(texts, order=3, num_symbols=SYMBOLS, num_predicted=SYMBOLS - 2)
    assert model.distribution([3, 4])[2:].sum() == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("order", [1, 3])
def test_the_log_probabilities_of_sequences_are_those_of_their_symbols(order: int) -> None:
    model = KneserNey(sequences(100), order=5, num_symbols=SYMBOLS)
    texts = [*sequences(10, seed=2), [], [1]]
    found = model.log_probs(texts, order=order)
    for text, values in zip(texts, found, strict=True):
        expected = [
            math.log(model.distribution(text[:place], order=order)[symbol]) for place, symbol in enumerate(text)
        ]
        np.testing.assert_allclose(values, expected, rtol=1e-12, atol=1e-15)
    total, count = sum(values.sum() for values in found), sum(map(len, texts))
    assert model.losses(texts)[order] == pytest.approx(-total / count, rel=1e-12)


def test_what_was_often_seen_is_expected() -> None:
    model = KneserNey([[0, 1, 2, 3]] * 50 + sequences(20), order=4, num_symbols=SYMBOLS)
    assert model.distribution([0, 1, 2]).argmax() == 3
    assert model.distribution([0, 1, 2])[3] > 0.9


def test_an_order_beyond_the_longest_sequence_is_that_of_the_longest() -> None:
    model = KneserNey([[0, 1], [1]], order=9, num_symbols=2)
    assert model.order == 3
    assert model.distribution([0, 1, 0, 0]).sum() == pytest.approx(1.0, abs=1e-12)


def test_nothing_to_count_is_refused() -> None:
    with pytest.raises(ValueError, match="no symbol to count"):
        KneserNey([[], []], order=2, num_symbols=3)
    with pytest.raises(ValueError, match="`order` must be 1 or more"):
        KneserNey([[1]], order=0, num_symbols=3)


def test_the_order_is_chosen_on_held_out_text() -> None:
    """A symbol that is told by the one two places before needs trigrams, and nothing longer."""
    random = np.random.default_rng(0)
    texts = []
    for _ in range(300):
        text = random.integers(0, 4, size=2).tolist()
        for _ in range(12):
            text.append((text[-2] + 1) % 4 if random.random() < 0.8 else int(random.integers(0, 4)))
        texts.append(np.array(text))
    chosen = fit_ngrams(texts, num_symbols=4, num_predicted=4, largest_order=7)
    assert chosen.order in (3, 4)
    assert chosen.order == chosen.model.order == min(chosen.losses, key=lambda order: chosen.losses[order])
    assert chosen.losses[3] < chosen.losses[2] - 0.2
    assert chosen.losses[max(chosen.losses)] > chosen.losses[chosen.order]
    assert max(chosen.losses) == (4 if chosen.order < 4 else 7), "longer ones are tried only where they may be better"
    one = fit_ngrams([np.concatenate(texts)], num_symbols=4, num_predicted=4, largest_order=7)
    assert one.order in (3, 4)


def test_long_contexts_are_found_where_they_are_better() -> None:
    random = np.random.default_rng(1)
    parts = [random.integers(0, 4, size=12) for _ in range(5)]
    text = np.concatenate([parts[number] for number in random.integers(0, 5, size=400)])
    chosen = fit_ngrams([text], num_symbols=4, num_predicted=4, largest_order=8)
    assert max(chosen.losses) == 8
    assert chosen.order > 4
