"""Layers that are built without memory and get it, or their weights, afterwards."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from seqlens.layers import GRU, LSTM, RNN, LinearChainCRF, MinGRU, MinLSTM, RecurrentLayer
from seqlens.layers.constants import ConstantsModule
from seqlens.layers.step_chain import StepChain
from seqlens.models.words import WordEmbedder
from seqlens.tasks.mark.chain import GeneChain

ALLOWED = torch.tensor([[1, 0, 1], [1, 1, 0], [1, 1, 1]]).bool()
LENGTHS = torch.tensor([3, 2])
TAGS = torch.zeros(2, 3, dtype=torch.int64)


def score(crf: nn.Module) -> Tensor:
    torch.manual_seed(0)
    found: Tensor = crf(torch.randn(2, 3, 3), LENGTHS, TAGS)
    return found


@pytest.mark.parametrize("assign", [False, True])
@pytest.mark.parametrize("allowed", [None, ALLOWED])
def test_a_crf_from_nothing_has_its_rules(allowed: Tensor | None, assign: bool) -> None:
    crf = LinearChainCRF(3, allowed_transitions=allowed)
    with torch.device("meta"):
        empty = LinearChainCRF(3, allowed_transitions=allowed)
    if not assign:
        garbage = [torch.zeros(9, dtype=torch.bool) for _ in range(100)]  # what new memory may hold
        del garbage
        empty = empty.to_empty(device="cpu")
    empty.load_state_dict(crf.state_dict(), assign=assign)
    assert torch.equal(empty.allowed_transitions, crf.allowed_transitions)
    assert bool(empty.allowed_start.all())
    assert torch.equal(score(empty), score(crf))


@pytest.mark.parametrize("make", [GeneChain, lambda: StepChain([[0, 1], [0]])], ids=["genes", "chain"])
def test_constants_outlive_memory(make: Callable[[], nn.Module]) -> None:
    chain = make()
    expected = copy.deepcopy(dict(chain.named_buffers()))
    assert expected
    for value in chain.buffers():
        value.zero_()
    emptied = chain.to_empty(device="cpu")
    found = dict(emptied.named_buffers())
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value), name
    assert not emptied.state_dict()


def test_constants_take_the_dtype_and_the_device_of_their_module() -> None:
    class Scaled(ConstantsModule):
        def __init__(self) -> None:
            super().__init__()
            self.register_constant("scale", torch.tensor([0.5, 2.0]))
            self.register_constant("places", torch.tensor([0, 1]))

    scaled = copy.deepcopy(Scaled()).double()
    assert scaled.get_buffer("scale").dtype == torch.float64
    assert scaled.get_buffer("places").dtype == torch.int64
    assert scaled.to("meta").get_buffer("scale").is_meta
    assert scaled.to_empty(device="cpu").get_buffer("scale").tolist() == [0.5, 2.0]


@pytest.mark.parametrize("kind", [RNN, GRU, LSTM, MinGRU, MinLSTM])
def test_a_layer_takes_weights_that_are_assigned(kind: Callable[..., RecurrentLayer]) -> None:
    layer = kind(4, 3)
    with torch.device("meta"):
        empty = kind(4, 3)
    empty.load_state_dict(layer.state_dict(), assign=True)
    inputs = torch.randn(2, 5, 4)
    assert torch.equal(empty(inputs, None).outputs, layer(inputs, None).outputs)
    x_t, state = inputs[:, 0], layer.initial_state(2)
    assert torch.equal(empty.step(x_t, state)[0], layer.step(x_t, state)[0])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(empty(inputs, None).outputs, layer(inputs, None).outputs)


def test_a_word_embedder_is_built_without_memory() -> None:
    unknown_p = torch.tensor([0.0, 0.0, 0.5])
    with torch.device("meta"):
        empty = WordEmbedder(
            None, embedding_dim=4, num_words=3, num_features=(3, 4), feature_dim=2, unknown_p=unknown_p
        )
    assert all(tensor.is_meta for tensor in [*empty.parameters(), *empty.buffers()])
    filled = empty.to_empty(device="cpu")
    assert filled.unknown_p.tolist() == unknown_p.tolist()
    assert filled.offsets.tolist() == [0, 3]


def test_shapes_of_a_crf_are_known_without_memory() -> None:
    with torch.device("meta"):
        scores = LinearChainCRF(3).scores()
    assert scores.transitions.shape == (3, 3)


def test_what_does_not_move_keeps_its_memory() -> None:
    crf = LinearChainCRF(3, allowed_transitions=ALLOWED)
    before = crf.allowed_end.data_ptr()
    crf.to("cpu")
    assert crf.allowed_end.data_ptr() == before
    assert crf.share_memory().allowed_end.is_shared()
    del crf.__dict__["_constants"]  # as in a module that was pickled before there were any
    assert crf.double().transitions.dtype == torch.float64
