import copy

import pytest
import torch
from torch import nn

from seqlens.layers.positions import LearnedPositions
from seqlens.layers.relative import RelativeBias
from seqlens.training.config import AdamWConfig
from seqlens.training.optimizer import Optimizer, split_by_decay


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.output = nn.Linear(4, 5)
        self.embedding = nn.Embedding(5, 4)
        self.output.weight = self.embedding.weight
        self.gru = nn.GRU(4, 4)
        self.norm = nn.LayerNorm([2, 4])
        self.frozen = nn.Parameter(torch.ones(2, 2), requires_grad=False)


def test_only_matrices_that_are_no_embedding_or_norm_are_decayed() -> None:
    decayed, kept = split_by_decay(Tied())
    assert set(decayed) == {"gru.weight_ih_l0", "gru.weight_hh_l0"}
    assert set(kept) == {
        *("output.weight", "output.bias", "norm.weight", "norm.bias"),
        *("gru.bias_ih_l0", "gru.bias_hh_l0"),
    }


def test_embeddings_of_positions_and_distances_are_not_decayed() -> None:
    model = nn.ModuleDict({"positions": LearnedPositions(8, 5), "relative": RelativeBias(2), "linear": nn.Linear(2, 2)})
    decayed, kept = split_by_decay(model)
    assert set(decayed) == {"linear.weight"}
    assert {"positions.table", "relative.weight"} <= set(kept)


def test_decay_shrinks_the_decayed_weights_only() -> None:
    model = nn.Linear(3, 3)
    before = copy.deepcopy(model.state_dict())
    optimizer = Optimizer(model, AdamWConfig(weight_decay=0.5))
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step(0.1)
    torch.testing.assert_close(model.weight.data, before["weight"] * (1 - 0.1 * 0.5))
    torch.testing.assert_close(model.bias.data, before["bias"], rtol=0, atol=0)


def test_the_fused_kernel_computes_adamw() -> None:
    torch.manual_seed(0)
    model = nn.Linear(7, 5).double()
    other = copy.deepcopy(model)
    mine = Optimizer(model, AdamWConfig(learning_rate=0.01, betas=(0.8, 0.99), epsilon=1e-6, weight_decay=0.0))
    theirs = torch.optim.AdamW(
        other.parameters(), lr=0.03, betas=(0.8, 0.99), eps=1e-6, weight_decay=0.0, foreach=False, fused=False
    )
    for _ in range(5):
        for one, two in zip(model.parameters(), other.parameters(), strict=True):
            one.grad = torch.randn_like(one)
            two.grad = one.grad.clone()
        mine.step(0.03)
        theirs.step()
    torch.testing.assert_close(list(model.parameters()), list(other.parameters()), rtol=1e-10, atol=1e-12)


def test_state_goes_to_tensors_and_back() -> None:
    def steps(model: nn.Module, optimizer: Optimizer) -> None:
        for number in range(3):
            for parameter in model.parameters():
                parameter.grad = torch.full_like(parameter, 0.1 * number + 0.01)
            optimizer.step(0.01)

    model = nn.Linear(3, 2)
    optimizer = Optimizer(model, AdamWConfig())
    steps(model, optimizer)
    saved = {name: tensor.clone() for name, tensor in optimizer.state_tensors().items()}
    assert set(saved) == {f"{slot}/{name}" for slot in ("exp_avg", "exp_avg_sq", "step") for name in ("weight", "bias")}

    other = copy.deepcopy(model)
    resumed = Optimizer(other, AdamWConfig())
    resumed.load_state_tensors(saved)
    steps(model, optimizer)
    steps(other, resumed)
    torch.testing.assert_close(other.state_dict(), model.state_dict(), rtol=0, atol=0)
    torch.testing.assert_close(resumed.state_tensors(), optimizer.state_tensors(), rtol=0, atol=0)


def test_the_state_of_another_model_is_refused() -> None:
    optimizer = Optimizer(nn.Linear(3, 2), AdamWConfig())
    with pytest.raises(ValueError, match="'gate' is no trainable weight"):
        optimizer.load_state_tensors({"exp_avg/gate": torch.zeros(2)})
    with pytest.raises(ValueError, match=r"'bias' has shape \(3,\), expected \(2,\)"):
        optimizer.load_state_tensors({"exp_avg/bias": torch.zeros(3)})


def test_a_model_without_weights_cannot_be_trained() -> None:
    with pytest.raises(ValueError, match="no weights"):
        Optimizer(nn.Tanh(), AdamWConfig())
