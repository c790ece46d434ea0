import copy

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from seqlens.models.weights import load_weights, pack_weights


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5, 4)
        self.output = nn.Linear(4, 5)
        self.output.weight = self.embedding.weight
        self.register_buffer("count", torch.tensor(3))


def test_tied_weights_are_stored_once_and_stay_tied() -> None:
    model, other = Tied(), Tied()
    packed = pack_weights(model)
    assert set(packed.tensors) == {"embedding.weight", "output.bias", "count"}
    assert packed.aliases == {"output.weight": "embedding.weight"}
    load_weights(other, safetensors.torch.load(safetensors.torch.save(packed.tensors)), packed.aliases)
    torch.testing.assert_close(other.state_dict(), model.state_dict(), rtol=0, atol=0)
    assert other.output.weight is other.embedding.weight


def test_views_of_one_buffer_are_stored_apart() -> None:
    class Flat(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            flat = torch.arange(12.0)
            self.first, self.second = nn.Parameter(flat[:6].view(2, 3)), nn.Parameter(flat[6:])

    model = Flat()
    stored = safetensors.torch.load(safetensors.torch.save(pack_weights(model).tensors))
    torch.testing.assert_close(stored, {"first": torch.arange(6.0).view(2, 3), "second": torch.arange(6.0, 12.0)})


def test_weights_that_do_not_fit_are_refused_and_change_nothing() -> None:
    model = nn.Linear(3, 2)
    before = copy.deepcopy(model.state_dict())
    faults: list[tuple[dict[str, Tensor], str]] = [
        ({"weight": torch.zeros(2, 3)}, "it lacks 'bias'"),
        ({"weight": torch.zeros(2, 3), "bias": torch.zeros(2), "gate": torch.zeros(2)}, "it holds 'gate'"),
        ({"weight": torch.zeros(2, 3), "bias": torch.zeros(4)}, r"'bias' has shape \(4,\), expected \(2,\)"),
    ]
    for tensors, said in faults:
        with pytest.raises(ValueError, match=said):
            load_weights(model, tensors, {})
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)


def test_a_tie_that_only_the_model_has_is_refused() -> None:
    tensors = {name: tensor.clone() for name, tensor in Tied().state_dict().items()}
    with pytest.raises(ValueError, match=r"'output.weight' and 'embedding.weight' are tied in the model"):
        load_weights(Tied(), tensors, {})
