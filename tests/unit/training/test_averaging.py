import copy

import pytest
import torch
from torch import nn

from seqlens.models.weights import PackedWeights, pack_weights
from seqlens.training.averaging import MovingAverage, load_mean


def test_the_moving_average_against_its_closed_form() -> None:
    model = nn.Linear(1, 1, bias=False).double()
    model.weight.data.fill_(0.0)
    average = MovingAverage(model, 0.3)
    weights = [5.0, -1.0, 2.0, 7.0, 7.0]
    expected = 0.0
    for update, weight in enumerate(weights, start=1):
        model.weight.data.fill_(weight)
        average.update(model)
        decay = min(0.3, (1 + update) / (10 + update))
        expected = decay * expected + (1 - decay) * weight
    assert float(average.state_tensors()["weight"]) == pytest.approx(expected, rel=1e-12)


def test_it_is_lent_to_the_model_and_taken_back_to_the_bit() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    average = MovingAverage(model, 0.9)
    model(torch.randn(4, 2))  # moves the running statistics and counts the batch
    model[0].weight.data.add_(1.0)
    average.update(model)
    own = copy.deepcopy(model.state_dict())
    with average.applied_to(model):
        inside = copy.deepcopy(model.state_dict())
    torch.testing.assert_close(model.state_dict(), own, rtol=0, atol=0)
    torch.testing.assert_close(inside, average.state_tensors(), rtol=0, atol=0)
    assert not torch.equal(inside["0.weight"], own["0.weight"])
    assert int(inside["1.num_batches_tracked"]) == 1  # a count is copied, not averaged


def test_it_goes_on_from_its_state() -> None:
    model = nn.Linear(2, 2)
    average = MovingAverage(model, 0.9)
    model.weight.data.add_(1.0)
    average.update(model)
    resumed = MovingAverage(nn.Linear(2, 2), 0.9)
    resumed.load_state({name: tensor.clone() for name, tensor in average.state_tensors().items()}, average.state_dict())
    for one in (average, resumed):
        one.update(model)
    torch.testing.assert_close(resumed.state_tensors(), average.state_tensors(), rtol=0, atol=0)


def test_the_mean_of_checkpoints() -> None:
    model = nn.BatchNorm1d(2)
    packs = []
    for value in (1.0, 2.0, 6.0):
        model.weight.data.fill_(value)
        model.num_batches_tracked.fill_(int(value))
        packed = pack_weights(model)
        packs.append(PackedWeights({name: tensor.clone() for name, tensor in packed.tensors.items()}, packed.aliases))
    load_mean(model, packs)
    assert model.weight.tolist() == [3.0, 3.0]
    assert int(model.num_batches_tracked) == 6  # the last one's
    with pytest.raises(ValueError, match="no weights to average"):
        load_mean(model, [])
