"""The chain with transitions of their own at every step, against all its paths one by one."""

from itertools import pairwise, product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from seqlens.layers.step_chain import StepChain

PREDECESSORS = ((0, 2), (0, 1, 2), (1,))
CHAIN = StepChain(PREDECESSORS)


def draw_edges(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, 3, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def all_paths(edges: Tensor) -> dict[tuple[int, ...], float]:
    """The score of every path that is allowed through `edges [time, states, slots]`."""
    found = {}
    for path in product(range(3), repeat=len(edges)):
        if all(last in PREDECESSORS[now] for last, now in pairwise(path)):
            score = float(edges[0, path[0], 0])
            for step, (last, now) in enumerate(pairwise(path), 1):
                score += float(edges[step, now, PREDECESSORS[now].index(last)])
            found[path] = score
    return found


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.integers(1, 5))
def test_every_path_counts(seed: int, time: int) -> None:
    edges = draw_edges(seed, 1, time)
    paths = all_paths(edges[0])
    scores = torch.tensor(list(paths.values()))
    torch.testing.assert_close(CHAIN.log_partition(edges)[0], torch.logsumexp(scores.double(), 0), rtol=1e-6, atol=1e-6)

    best = max(paths, key=paths.__getitem__)
    assert tuple(CHAIN.best_path(edges)[0].tolist()) == best
    torch.testing.assert_close(float(CHAIN.path_score(edges, torch.tensor([best]))[0]), paths[best])

    shares = torch.softmax(scores.double(), 0)
    expected = torch.zeros(time, 3, dtype=torch.float64)
    for path, share in zip(paths, shares, strict=True):
        expected[range(time), list(path)] += share
    torch.testing.assert_close(CHAIN.marginals(edges).states[0], expected, rtol=1e-5, atol=1e-7)


def test_gradients() -> None:
    lengths = torch.tensor([4, 0, 2, 1])
    edges = draw_edges(3, 4, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda given: CHAIN.log_partition(given, lengths), (edges,))
    states = torch.tensor([[0, 1, 2, 0], [0] * 4, [1, 2, 0, 0], [2, 0, 0, 0]])
    assert torch.autograd.gradcheck(lambda given: CHAIN.path_score(given, states, lengths), (edges,))


@pytest.mark.parametrize("rubbish", [float("nan"), float("inf"), 1e9])
def test_padding_and_unused_slots_are_never_read(rubbish: float) -> None:
    lengths = torch.tensor([4, 0, 2, 1])
    clean = draw_edges(5, 4, 4)
    dirty = clean.clone()
    for row, length in enumerate(lengths.tolist()):
        dirty[row, length:] = rubbish
    dirty[:, 1:, 0, 2] = dirty[:, 1:, 2, 1:] = rubbish
    dirty.requires_grad_()
    found = CHAIN.log_partition(dirty, lengths)
    for row, length in enumerate(lengths.tolist()):
        alone = clean[row : row + 1, :length]
        torch.testing.assert_close(found[row], CHAIN.log_partition(alone)[0])
        assert torch.equal(CHAIN.best_path(dirty, lengths)[row, :length], CHAIN.best_path(alone)[0])
        torch.testing.assert_close(
            CHAIN.marginals(dirty, lengths).states[row, :length], CHAIN.marginals(alone).states[0]
        )
    found.sum().backward()
    assert dirty.grad is not None
    assert bool(torch.isfinite(dirty.grad).all())
    assert float(dirty.grad[1].abs().sum()) == 0


def test_five_thousand_steps_keep_their_precision() -> None:
    edges = draw_edges(7, 1, 5_000) * 30
    found = CHAIN.marginals(edges)
    torch.testing.assert_close(found.states.sum(2), torch.ones(1, 5_000, dtype=torch.float64), rtol=1e-6, atol=1e-6)


def test_a_path_that_is_not_allowed() -> None:
    with pytest.raises(ValueError, match="state 0 to 2 at step 1"):
        CHAIN.path_score(draw_edges(1, 1, 2), torch.tensor([[0, 2]]))
    with pytest.raises(ValueError, match="different states"):
        StepChain([[0, 3]])
    with pytest.raises(ValueError, match=r"\[batch, time, 3, 3\]"):
        CHAIN.log_partition(torch.zeros(1, 2, 3, 2))


def test_a_state_may_have_many_predecessors() -> None:
    num_states = 200
    chain = StepChain([list(range(num_states))] * num_states)
    edges = torch.randn(1, 6, num_states, num_states, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    best, into = edges[0, 0, :, 0], []
    for step in range(1, 6):
        reached = (edges[0, step] + best).max(1)
        best = reached.values
        into.append(reached.indices)
    path = [int(best.argmax())]
    for indices in reversed(into):
        path.append(int(indices[path[-1]]))
    assert chain.best_path(edges)[0].tolist() == path[::-1]
    assert max(path) > 127
