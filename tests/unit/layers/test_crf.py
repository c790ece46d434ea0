"""The CRF against all paths, written out one by one."""

from itertools import pairwise, product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from seqlens.decoding.viterbi import viterbi
from seqlens.layers.chain import ChainScores
from seqlens.layers.crf import (
    LinearChainCRF,
    Segment,
    log_partition,
    marginals,
    path_score,
    segment_probabilities,
)

INFINITY = float("inf")


def draw(seed: int, *shape: int, scale: float = 1.0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * scale


def chain(tags: int, seed: int = 0, *, forbidden: float = 0.0) -> ChainScores:
    """Random scores; a share of the transitions is forbidden, never all of a row's."""
    transitions = draw(seed, tags, tags)
    drop = torch.rand(tags, tags, generator=torch.Generator().manual_seed(seed)) < forbidden
    drop.fill_diagonal_(False)
    return ChainScores(transitions.masked_fill(drop, -INFINITY), draw(seed + 1, tags), draw(seed + 2, tags))


def score_of(path: tuple[int, ...], emissions: Tensor, scores: ChainScores) -> float:
    if not path:
        return 0.0
    total = scores.start[path[0]] + scores.end[path[-1]]
    total = total + sum(emissions[step, tag] for step, tag in enumerate(path))
    return float(total + sum(scores.transitions[a, b] for a, b in pairwise(path)))


def all_paths(emissions: Tensor, length: int, scores: ChainScores) -> dict[tuple[int, ...], float]:
    tags = emissions.shape[1]
    return {path: score_of(path, emissions, scores) for path in product(range(tags), repeat=length)}


cases = st.tuples(
    st.lists(st.integers(0, 4), min_size=1, max_size=4),
    st.integers(1, 4),
    st.sampled_from([0.0, 0.5]),
    st.integers(0, 99),
)


@settings(max_examples=15)
@given(cases)
def test_everything_equals_the_sum_over_all_paths(case: tuple[list[int], int, float, int]) -> None:
    lengths, tags, forbidden, seed = case
    emissions, scores = draw(seed, len(lengths), 5, tags), chain(tags, seed, forbidden=forbidden)
    given_lengths = torch.tensor(lengths)
    found = log_partition(emissions, given_lengths, scores)
    probabilities = marginals(emissions, given_lengths, scores)
    best = viterbi(emissions, given_lengths, scores)
    for row, length in enumerate(lengths):
        paths = all_paths(emissions[row], length, scores)
        total = torch.logsumexp(torch.tensor(list(paths.values()), dtype=torch.float64), 0)
        torch.testing.assert_close(found[row], total, rtol=1e-12, atol=1e-12)
        expected = torch.zeros(5, tags, dtype=torch.float64)
        for path, score in paths.items():
            for step, tag in enumerate(path):
                expected[step, tag] += float((torch.tensor(score, dtype=torch.float64) - total).exp())
        torch.testing.assert_close(probabilities[row], expected, rtol=1e-10, atol=1e-12)
        assert float(best.scores[row]) == pytest.approx(max(paths.values()), abs=1e-12)
        path = tuple(best.tags[row, :length].tolist())
        assert paths[path] == pytest.approx(max(paths.values()), abs=1e-12)
        assert best.tags[row, length:].tolist() == [0] * (5 - length)
        assert float(path_score(emissions, given_lengths, best.tags, scores)[row]) == pytest.approx(paths[path])


@pytest.mark.parametrize("forbidden", [0.0, 0.4])
def test_the_gradient_is_right(forbidden: float) -> None:
    scores = chain(3, 5, forbidden=forbidden)
    inputs = [part.requires_grad_() for part in (draw(1, 4, 5, 3), *scores)]
    lengths = torch.tensor([5, 0, 1, 3])
    weights = draw(3, 4)

    def weighted(emissions: Tensor, *parts: Tensor) -> Tensor:
        return (log_partition(emissions, lengths, ChainScores(*parts)) * weights).sum()

    finite = [part.detach().clamp(min=-30.0).requires_grad_() for part in inputs]
    assert torch.autograd.gradcheck(weighted, finite)
    weighted(*inputs).backward()
    assert all(part.grad is not None and bool(torch.isfinite(part.grad).all()) for part in inputs)
    gradient = inputs[1].grad
    assert gradient is not None
    assert bool((gradient[torch.isinf(inputs[1])] == 0).all())


def test_the_loss_is_minus_the_log_of_the_tags_probability() -> None:
    crf = LinearChainCRF(3).double()
    emissions, tags, lengths = draw(2, 2, 4, 3), torch.tensor([[0, 2, 1, 1], [1, 0, 9, 9]]), torch.tensor([4, 2])
    loss = crf(emissions, lengths, tags)
    for row, length in enumerate(lengths.tolist()):
        paths = all_paths(emissions[row], length, ChainScores(*(part.detach() for part in crf.scores())))
        total = torch.logsumexp(torch.tensor(list(paths.values()), dtype=torch.float64), 0)
        assert float(loss[row].detach()) == pytest.approx(
            float(total) - paths[tuple(tags[row, :length].tolist())], abs=1e-10
        )
    assert torch.autograd.gradcheck(lambda e: crf(e, lengths, tags), emissions.requires_grad_())


def test_what_is_not_allowed_is_never_found_and_costs_infinitely_much() -> None:
    allowed = torch.tensor([[True, True, False], [True, True, True], [True, True, True]])
    start = torch.tensor([True, True, False])
    crf = LinearChainCRF(3, allowed_transitions=allowed, allowed_start=start, allowed_end=~start).double()
    emissions, lengths = draw(4, 3, 6, 3, scale=20.0), torch.tensor([6, 2, 1])
    emissions[0, 1, 1] = -INFINITY
    best = viterbi(emissions, lengths, crf.scores())
    for row, length in enumerate(lengths.tolist()):
        path = best.tags[row, :length].tolist()
        if length > 1:
            assert path[0] != 2
            assert path[-1] == 2
            assert (0, 2) not in list(pairwise(path))
    assert best.tags[0, 1] != 1
    probabilities = crf.marginals(emissions, lengths)
    assert probabilities[0, 1, 1] == 0
    assert probabilities[:2, 0, 2].tolist() == [0, 0]
    torch.testing.assert_close(probabilities[0].sum(1), torch.ones(6, dtype=torch.float64))
    # A sequence of one step can neither begin nor end with any tag.
    assert float(crf.log_partition(emissions, lengths).detach()[2]) == -INFINITY
    assert float(best.scores[2]) == -INFINITY
    assert float(probabilities[2].sum()) == 0
    assert float(crf(emissions[:1], lengths[:1], torch.tensor([[0, 2, 2, 2, 2, 2]])).detach()[0]) == INFINITY


def test_padding_is_never_read() -> None:
    crf = LinearChainCRF(4).double()

    def loss(emissions: Tensor, lengths: Tensor) -> Tensor:
        tags = torch.ones(emissions.shape[:2], dtype=torch.int64)
        return crf(emissions, lengths, tags)[:, None]

    def probabilities(emissions: Tensor, lengths: Tensor) -> Tensor:
        return crf.marginals(emissions, lengths)

    lengths = torch.tensor([3, 0, 5, 1])
    emissions = draw(6, 4, 5, 4)
    for function in (loss, probabilities):
        whole = function(emissions, lengths)
        spoiled = emissions.clone()
        for row, length in enumerate(lengths.tolist()):
            spoiled[row, length:] = float("nan")
            alone = function(emissions[row : row + 1, :length], lengths[row : row + 1])[0]
            torch.testing.assert_close(whole[row, : len(alone)], alone, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(function(spoiled, lengths), whole, rtol=0, atol=0)
    spoiled = emissions.clone().requires_grad_()
    loss(spoiled, lengths).sum().backward()
    assert spoiled.grad is not None
    assert all(bool((spoiled.grad[row, length:] == 0).all()) for row, length in enumerate(lengths.tolist()))


def test_a_probability_of_a_stretch_is_the_sum_over_paths_that_hold_it() -> None:
    emissions, scores, lengths = draw(7, 2, 5, 3), chain(3, 8), torch.tensor([4, 5])
    segments = [
        Segment(0, 1, (2, 1)),
        Segment(1, 0, (0,), (1, 2)),
        Segment(1, 3, (1, 1), (1,)),
        Segment(0, 2, (1,), (0,)),
    ]
    found = segment_probabilities(emissions, lengths, scores, segments)
    for segment, probability in zip(segments, found, strict=True):
        paths = all_paths(emissions[segment.row], int(lengths[segment.row]), scores)
        total = torch.logsumexp(torch.tensor(list(paths.values()), dtype=torch.float64), 0)
        stop = segment.start + len(segment.tags)
        holding = [
            score
            for path, score in paths.items()
            if path[segment.start : stop] == segment.tags
            and (stop == len(path) or path[stop] not in segment.not_followed_by)
        ]
        expected = float((torch.logsumexp(torch.tensor(holding, dtype=torch.float64), 0) - total).exp())
        assert probability == pytest.approx(expected, abs=1e-9)


def test_long_sequences_stay_exact_in_float32() -> None:
    scores = chain(5, 9)
    emissions, lengths = draw(9, 2, 3000, 5, scale=5.0), torch.tensor([3000, 2999])
    exact = marginals(emissions, lengths, scores)
    narrow = marginals(emissions.float(), lengths, ChainScores(*(part.float() for part in scores)))
    torch.testing.assert_close(narrow, exact, rtol=0, atol=1e-4)
    torch.testing.assert_close(narrow.sum(2)[0], torch.ones(3000, dtype=torch.float64), rtol=0, atol=1e-9)


def test_a_path_far_behind_is_not_lost_when_only_it_is_allowed() -> None:
    """Two tags that never mix, one of them ten thousand behind, and only that one may end."""
    scores = ChainScores(
        torch.tensor([[0.0, -INFINITY], [-INFINITY, 0.0]]), torch.zeros(2), torch.tensor([-INFINITY, 0.0])
    )
    emissions = torch.tensor([0.0, -100.0]).expand(1, 100, 2)
    assert float(log_partition(emissions, torch.tensor([100]), scores)[0]) == pytest.approx(-10_000)


@pytest.mark.parametrize("shape", [(0, 3, 2), (2, 0, 2), (0, 0, 2)])
def test_nothing_is_a_batch_too(shape: tuple[int, int, int]) -> None:
    emissions = torch.zeros(shape, requires_grad=True)
    crf, lengths = LinearChainCRF(2), torch.zeros(shape[0], dtype=torch.int64)
    loss = crf(emissions, lengths, torch.zeros(shape[:2], dtype=torch.int64))
    assert loss.tolist() == [0.0] * shape[0]
    loss.sum().backward()
    assert crf.marginals(emissions, lengths).shape == shape
    assert viterbi(emissions, lengths, crf.scores()).tags.shape == shape[:2]


def test_a_mask_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="`allowed_start` must be \\[3\\], but is \\[2\\]"):
        LinearChainCRF(3, allowed_start=torch.ones(2, dtype=torch.bool))


def test_the_masks_are_no_weights() -> None:
    assert set(LinearChainCRF(2).state_dict()) == {"transitions", "start", "end"}


def test_without_an_allowed_path_the_loss_is_infinite() -> None:
    crf = LinearChainCRF(2, allowed_start=torch.tensor([True, False]), allowed_end=torch.tensor([False, True]))
    tags = torch.tensor([[0, 0], [0, 1]])
    loss = crf(draw(0, 2, 2, 2), torch.tensor([1, 2]), tags)
    assert loss[0] == INFINITY
    assert float(loss[1].detach()) == pytest.approx(0.0), "there is only one path"
