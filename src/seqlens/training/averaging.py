"""Means of weights: a moving average kept during training, and the plain mean of several checkpoints."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import final

import torch
from torch import Tensor, nn

from seqlens.models.weights import PackedWeights, load_weights, tied_names


@final
class MovingAverage:
    """An exponential moving average of everything floating in a model; what is not floating is copied.

    After update `t`, `average = d * average + (1 - d) * weights` with `d = min(decay, (1 + t) / (10 + t))`: the rising
    decay lets the random first weights fade quickly (as in TensorFlow's `ExponentialMovingAverage`).
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        """Starts at the present weights."""
        state = model.state_dict()
        aliases = tied_names(state)
        self._decay = decay
        self._updates = 0
        self._average = {name: tensor.detach().clone() for name, tensor in state.items() if name not in aliases}

    def update(self, model: nn.Module) -> None:
        """Takes the present weights into the average."""
        self._updates += 1
        decay = min(self._decay, (1 + self._updates) / (10 + self._updates))
        state = model.state_dict()
        floating = [name for name, tensor in self._average.items() if tensor.is_floating_point()]
        averages = [self._average[name] for name in floating]
        with torch.no_grad():
            torch._foreach_lerp_(averages, [state[name] for name in floating], 1.0 - decay)
            for name in self._average.keys() - set(floating):
                self._average[name].copy_(state[name])

    @contextmanager
    def applied_to(self, model: nn.Module) -> Iterator[None]:
        """Inside, the model holds the average; afterwards its own weights again, to the bit."""
        state = model.state_dict()
        own = {name: state[name].detach().clone() for name in self._average}
        self._copy(self._average, state)
        try:
            yield
        finally:
            self._copy(own, state)

    def state_tensors(self) -> dict[str, Tensor]:
        """Returns the average by name, tied tensors under their first name, on the CPU."""
        return {name: tensor.to("cpu").contiguous() for name, tensor in self._average.items()}

    def state_dict(self) -> dict[str, int]:
        """Returns the number of updates."""
        return {"updates": self._updates}

    def load_state(self, tensors: Mapping[str, Tensor], state: Mapping[str, int]) -> None:
        """Takes over what `state_tensors` and `state_dict` returned."""
        self._updates = state["updates"]
        for name, tensor in self._average.items():
            tensor.copy_(tensors[name])

    @staticmethod
    def _copy(tensors: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for name, tensor in tensors.items():
                state[name].copy_(tensor)


def load_mean(model: nn.Module, checkpoints: Iterable[PackedWeights]) -> None:
    """Gives `model` the mean of several packed weights, summed in float64; what is not floating is the last one's.

    Raises:
        ValueError: there is nothing to average, or the weights are not this model's.
    """
    sums: dict[str, Tensor] = {}
    last: PackedWeights | None = None
    number = 0
    for last in checkpoints:
        number += 1
        for name, tensor in last.tensors.items():
            if tensor.is_floating_point():
                sums[name] = sums[name] + tensor.double() if name in sums else tensor.double()
    if last is None:
        raise ValueError("there are no weights to average")
    means = {name: (total / number).to(last.tensors[name].dtype) for name, total in sums.items()}
    load_weights(model, {**last.tensors, **means}, last.aliases)
