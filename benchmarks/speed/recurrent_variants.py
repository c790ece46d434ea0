"""One recurrent layer three times, with the same weights: ours, torch's fused one, a Python loop over torch's cells."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from seqlens.cells import Cell
from seqlens.layers import GRU, LSTM, RNN, RecurrentLayer

Kind = Literal["rnn", "lstm", "gru"]
TOLERANCE = 1e-5
_GATES: dict[Kind, int] = {"rnn": 1, "lstm": 4, "gru": 3}


@final
@dataclass(frozen=True, slots=True)
class Size:
    """Steps, sequences, and the width of both input and state; `ragged` gives lengths from a quarter of `time` on."""

    time: int
    batch: int
    hidden: int
    ragged: bool = False

    def lengths(self) -> Int[Tensor, " batch"] | None:
        """Random ones, the longest of them `time`; None where all are."""
        if not self.ragged:
            return None
        random = torch.Generator().manual_seed(1)
        lengths = torch.randint(max(1, self.time // 4), self.time + 1, (self.batch,), generator=random)
        lengths[0] = self.time
        return lengths

    def flops(self, kind: Kind) -> float:
        """Of all matrix products, forward and backward, over the real steps; the pointwise part is not counted."""
        lengths = self.lengths()
        steps = self.time * self.batch if lengths is None else int(lengths.sum())
        return 3 * 2 * steps * _GATES[kind] * self.hidden * 2 * self.hidden

    def __str__(self) -> str:
        return f"{self.time} steps × {self.batch} × {self.hidden}{', ragged' if self.ragged else ''}"


class OutputAndGradients(NamedTuple):
    """What a variant gives; the gradients of its weights in the layout of torch."""

    outputs: Float[Tensor, "batch time hidden"]
    inputs: Float[Tensor, "batch time hidden"]
    weights: tuple[Tensor, ...]


Variant = Callable[[], OutputAndGradients]


@final
class Trio:
    """The three variants of one kind at one size, on one batch."""

    def __init__(self, kind: Kind, size: Size) -> None:
        torch.manual_seed(0)
        self.kind = kind
        self.size = size
        dims = (size.hidden, size.hidden)
        layers: dict[Kind, Callable[[], nn.RNNBase]] = {
            "rnn": lambda: nn.RNN(*dims, batch_first=True),
            "lstm": lambda: nn.LSTM(*dims, batch_first=True),
            "gru": lambda: nn.GRU(*dims, batch_first=True),
        }
        cells: dict[Kind, Callable[[], nn.RNNCellBase]] = {
            "rnn": lambda: nn.RNNCell(*dims),
            "lstm": lambda: nn.LSTMCell(*dims),
            "gru": lambda: nn.GRUCell(*dims),
        }
        self._fused = layers[kind]()
        self._cell = cells[kind]()
        self.layer = _ours(kind, size.hidden)
        weights = [parameter.detach() for parameter in self._fused.parameters()]
        with torch.no_grad():
            for parameter, weight in zip(self._cell.parameters(), weights, strict=True):
                parameter.copy_(weight)
            _copy_from_torch(kind, self._our_cell, weights)
        self._inputs = torch.randn(size.batch, size.time, size.hidden).requires_grad_()
        self._lengths = size.lengths()
        self._mask = _mask(self._lengths, size)
        self._gradient = torch.randn(size.batch, size.time, size.hidden) * self._mask

    @property
    def variants(self) -> dict[str, Variant]:
        """Forward and backward of each."""
        return {"ours": self.run_ours, "fused": self.run_fused, "loop": self.run_loop}

    def run_ours(self) -> OutputAndGradients:
        """The layer of seqlens, with the executor it chooses."""
        outputs = self.layer(self._inputs, self._lengths).outputs
        gradients = self._backward(outputs, tuple(self.layer.parameters()))
        names = [name.rsplit(".", 1)[1] for name, _ in self.layer.named_parameters()]
        ours = dict(zip(names, gradients.weights, strict=True))
        return gradients._replace(weights=_as_torch(self.kind, ours))

    def run_fused(self) -> OutputAndGradients:
        """torch's layer; ragged sequences packed, as its documentation has it."""
        if self._lengths is None:
            outputs, _ = self._fused(self._inputs)
        else:
            packed = pack_padded_sequence(self._inputs, self._lengths, batch_first=True, enforce_sorted=False)
            padded, _ = self._fused(packed)
            outputs, _ = pad_packed_sequence(padded, batch_first=True, total_length=self.size.time)
        return self._backward(outputs, tuple(self._fused.parameters()))

    def run_loop(self) -> OutputAndGradients:
        """torch's cell, a step at a time; a sequence that has ended keeps its state."""
        hidden = self._inputs.new_zeros(self.size.batch, self.size.hidden)
        memory = hidden
        steps = []
        for number in range(self.size.time):
            x_t, keep = self._inputs[:, number], self._mask[:, number]
            if self.kind == "lstm":
                new_hidden, new_memory = self._cell(x_t, (hidden, memory))
            else:
                new_hidden, new_memory = self._cell(x_t, hidden), memory
            if self._lengths is None:
                hidden, memory = new_hidden, new_memory
                steps.append(hidden)
            else:
                hidden, memory = torch.where(keep, new_hidden, hidden), torch.where(keep, new_memory, memory)
                steps.append(torch.where(keep, new_hidden, 0.0))
        return self._backward(torch.stack(steps, dim=1), tuple(self._cell.parameters()))

    def assert_equal(self) -> float:
        """Compares outputs and gradients with the fused ones; returns the largest difference.

        Differences are shares of a tensor's largest entry.

        Raises:
            AssertionError: one is above 1e-5.
        """
        expected = self.run_fused()
        worst = 0.0
        for name in ("ours", "loop"):
            found = self.variants[name]()
            pairs = zip(_flat(found), _flat(expected), strict=True)
            for number, (mine, theirs) in enumerate(pairs):
                difference = ((mine - theirs).abs().max() / theirs.abs().max()).item()
                if not difference <= TOLERANCE:
                    what = "outputs" if number == 0 else f"gradient {number}"
                    raise AssertionError(f"{self.kind} {self.size}: {what} of '{name}' differ by {difference:.1e}")
                worst = max(worst, difference)
        return worst

    @property
    def _our_cell(self) -> Cell:
        cell = self.layer.get_submodule("layers.0.forward_cell")
        assert isinstance(cell, Cell)
        return cell

    def _backward(self, outputs: Tensor, parameters: Sequence[Tensor]) -> OutputAndGradients:
        inputs, *weights = torch.autograd.grad(outputs, (self._inputs, *parameters), self._gradient)
        return OutputAndGradients(outputs.detach(), inputs, tuple(weights))


def _ours(kind: Kind, hidden: int) -> RecurrentLayer:
    match kind:
        case "rnn":
            return RNN(hidden, hidden)
        case "lstm":
            return LSTM(hidden, hidden)
        case "gru":
            return GRU(hidden, hidden, reset="after")


def _turned(kind: Kind, rows: Tensor) -> Tensor:
    """A GRU's rows with the update gate in the other sense: ours lets the new state in, torch's keeps the old one."""
    if kind != "gru":
        return rows
    reset, update, candidate = rows.chunk(3)
    return torch.cat((reset, -update, candidate))


def _copy_from_torch(kind: Kind, cell: Cell, weights: Sequence[Tensor]) -> None:
    """torch has two biases; only a GRU's candidate needs both, since its reset gate multiplies one of them."""
    input_weight, recurrent_weight, input_bias, recurrent_bias = (_turned(kind, weight) for weight in weights)
    values = {"input_weight": input_weight, "recurrent_weight": recurrent_weight, "bias": input_bias + recurrent_bias}
    if kind == "gru":
        reset, update, _ = values["bias"].chunk(3)
        values["bias"] = torch.cat((reset, update, input_bias.chunk(3)[2]))
        values["candidate_bias"] = recurrent_bias.chunk(3)[2]
    for name, value in values.items():
        cell.get_parameter(name).copy_(value)


def _as_torch(kind: Kind, gradients: dict[str, Tensor]) -> tuple[Tensor, ...]:
    """Gradients by our names as those of torch's four parameters."""
    input_bias = recurrent_bias = gradients["bias"]
    if kind == "gru":
        reset, update, _ = recurrent_bias.chunk(3)
        recurrent_bias = torch.cat((reset, update, gradients["candidate_bias"]))
    rows = (gradients["input_weight"], gradients["recurrent_weight"], input_bias, recurrent_bias)
    return tuple(_turned(kind, part) for part in rows)


def _mask(lengths: Tensor | None, size: Size) -> Tensor:
    """`[batch, time, 1]`, True where there is a step."""
    if lengths is None:
        return torch.ones(size.batch, size.time, 1, dtype=torch.bool)
    return (torch.arange(size.time)[None, :] < lengths[:, None])[:, :, None]


def _flat(found: OutputAndGradients) -> list[Tensor]:
    return [found.outputs, found.inputs, *found.weights]
