"""One recurrent layer several times, with the same weights: ours, torch's fused one, a Python loop over its cell."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from seqlens.cells import Cell, CellKind
from seqlens.layers.build import build_recurrent
from seqlens.layers.product import rows_product

TOLERANCE = 1e-5
LOW_TOLERANCE = 5e-2
"""Of products in bfloat16 over hundreds of steps."""
WITH_TORCH: tuple[CellKind, ...] = ("rnn", "lstm", "lstm_projected", "gru_after")
"""The cells that torch has a fused layer for."""


@final
@dataclass(frozen=True, slots=True)
class Size:
    """Steps, sequences, and the width of both input and state; `ragged` draws lengths evenly from 1 to `time`."""

    time: int
    batch: int
    hidden: int
    ragged: bool = False

    def lengths(self) -> Int[Tensor, " batch"] | None:
        """Random ones, the longest of them `time`; None where all are."""
        if not self.ragged:
            return None
        lengths = torch.randint(1, self.time + 1, (self.batch,), generator=torch.Generator().manual_seed(1))
        lengths[0] = self.time
        return lengths

    @property
    def steps(self) -> int:
        """The real ones of all sequences."""
        lengths = self.lengths()
        return self.time * self.batch if lengths is None else int(lengths.sum())

    def flops(self, cell: Cell, *, training: bool) -> float:
        """Of all matrix products over the real steps, twice as many backward; the pointwise part is not counted."""
        weights = sum(parameter.numel() for parameter in cell.parameters() if parameter.ndim == 2)
        return (3 if training else 1) * 2 * self.steps * weights

    def __str__(self) -> str:
        return f"{self.time} steps × {self.batch} × {self.hidden}{', ragged' if self.ragged else ''}"


class Trained(NamedTuple):
    """What a training step gives: outputs, and the gradients of inputs and weights by name."""

    outputs: Float[Tensor, "batch time hidden"]
    inputs: Float[Tensor, "batch time hidden"]
    weights: dict[str, Tensor]


@final
class Case:
    """One cell at one size, on one batch."""

    def __init__(self, kind: CellKind, size: Size) -> None:
        torch.manual_seed(0)
        self.kind, self.size = kind, size
        self.layer = build_recurrent(kind, size.hidden, size.hidden)
        with torch.no_grad():
            for name, parameter in self.layer.named_parameters():
                if parameter.ndim == 1 and not name.endswith("gain"):
                    parameter.add_(0.1 * torch.randn_like(parameter))
                if name.endswith("recurrent_gain"):
                    # From gains of 1 on a normed recurrence is chaotic: rounding grows a hundredfold in as many steps.
                    parameter.mul_(0.25)
        self.torch_layer: nn.RNNBase | None = self.layer.to_torch() if kind in WITH_TORCH else None
        self.inputs = torch.randn(size.batch, size.time, size.hidden).requires_grad_()
        self.lengths = size.lengths()
        self.gradient = torch.randn(size.batch, size.time, size.hidden)
        if self.lengths is not None:
            running = torch.arange(size.time)[None, :] < self.lengths[:, None]
            self.gradient *= running[:, :, None]

    @property
    def cell(self) -> Cell:
        """The one cell of the layer."""
        cell = self.layer.get_submodule("layers.0.forward_cell")
        assert isinstance(cell, Cell)
        return cell

    def check_executor(self) -> str:
        """What `explain()` says.

        Raises:
            AssertionError: the reference unroll would run.
        """
        said = self.layer.explain(self.inputs, self.lengths)
        assert not said.startswith("The reference"), f"{self.kind} {self.size}: {said}"
        return said

    def forward(self) -> Tensor:
        """Ours, without gradients."""
        with torch.no_grad():
            return self.layer(self.inputs, self.lengths).outputs

    def forward_torch(self) -> Tensor:
        """torch's, without gradients."""
        with torch.no_grad():
            return self._run_torch()

    def forward_loop(self) -> Tensor:
        """The Python loop, without gradients."""
        with torch.no_grad():
            return self._run_loop()

    def train(self) -> Trained:
        """Ours, with the executor that the layer chooses."""
        return self._backward(self.layer(self.inputs, self.lengths).outputs, self.layer)

    def train_low(self) -> Trained:
        """Ours, under autocast to bfloat16."""
        with torch.autocast("cpu", torch.bfloat16):
            outputs = self.layer(self.inputs, self.lengths).outputs
        return self._backward(outputs, self.layer)

    def train_torch(self) -> Trained:
        """torch's layer; ragged sequences packed, as its documentation has it."""
        assert self.torch_layer is not None
        return self._backward(self._run_torch(), self.torch_layer)

    def train_loop(self) -> Trained:
        """The cell called a step at a time, and autograd."""
        return self._backward(self._run_loop(), self.layer)

    def assert_equal(self, *, loop: bool, training: bool = True) -> float:
        """Compares ours with torch's layer, or with the loop; returns the largest difference as a share.

        Raises:
            AssertionError: one is above 1e-5 of a tensor's largest entry.
        """
        name = "the loop" if loop else "torch's layer"
        other = self._run_loop if loop else self._run_torch
        with torch.no_grad():
            worst = self._compare({"outputs": (self.forward(), other())}, name)
        if training:
            ours, theirs = self.train(), self.train_loop() if loop else self.train_torch()
            weights = ours.weights if loop else self._as_torch(ours.weights)
            pairs = {name: (gradient, theirs.weights[name][-len(gradient) :]) for name, gradient in weights.items()}
            pairs |= {"outputs in training": ours[:1] + theirs[:1], "inputs": (ours.inputs, theirs.inputs)}
            worst = max(worst, self._compare(pairs, name))
        return worst

    def assert_low_near(self) -> float:
        """Compares outputs under autocast with those in float32.

        Raises:
            AssertionError: the difference is above 5e-2 of the largest entry.
        """
        return self._compare({"outputs": (self.train_low().outputs, self.forward())}, "float32", LOW_TOLERANCE)

    def _compare(self, pairs: dict[str, tuple[Tensor, Tensor]], other: str, tolerance: float = TOLERANCE) -> float:
        worst = 0.0
        for name, (mine, theirs) in pairs.items():
            difference = ((mine - theirs).abs().max() / theirs.abs().max()).item()
            if not difference <= tolerance:
                raise AssertionError(f"{self.kind} {self.size}: {name} differ from {other} by {difference:.1e}")
            worst = max(worst, difference)
        return worst

    def _as_torch(self, gradients: dict[str, Tensor]) -> dict[str, Tensor]:
        """Our gradients by torch's names: rows change places and signs, as those of the weights do."""
        holder = build_recurrent(self.kind, self.size.hidden, self.size.hidden)
        with torch.no_grad():
            for name, parameter in holder.named_parameters():
                parameter.copy_(gradients[name])
        theirs = {name: parameter.detach() for name, parameter in holder.to_torch().named_parameters()}
        # The second bias does what the first one does but for a GRU's candidate, the last of its gates.
        second = theirs.pop("bias_hh_l0")
        return theirs | ({"bias_hh_l0": second[-self.size.hidden :]} if self.kind == "gru_after" else {})

    def _run_torch(self) -> Tensor:
        assert self.torch_layer is not None
        if self.lengths is None:
            with warnings.catch_warnings():
                # That oneDNN has no projection is what the figure is about.
                warnings.filterwarnings("ignore", "LSTM with projections")
                return self.torch_layer(self.inputs)[0]
        packed = pack_padded_sequence(self.inputs, self.lengths, batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(self.torch_layer(packed)[0], batch_first=True, total_length=self.size.time)[0]

    def _run_loop(self) -> Tensor:
        cell = self.cell
        state = cell.initial_state(self.size.batch)
        outputs = []
        for x_t in self.inputs.unbind(1):
            step = cell(x_t, state)
            state = step.state
            outputs.append(step.output)
        return torch.stack(outputs, dim=1)

    def _backward(self, outputs: Tensor, module: nn.Module) -> Trained:
        named = dict(module.named_parameters())
        leaves: Sequence[Tensor] = (self.inputs, *named.values())
        inputs, *weights = torch.autograd.grad(outputs, leaves, self.gradient.to(outputs.dtype))
        return Trained(outputs.detach(), inputs, dict(zip(named, weights, strict=True)))


def fastest_product(side: int) -> dict[str, Callable[[], Tensor]]:
    """A product of two square matrices by each library that torch has: the peak is that of the faster one."""
    one, other = torch.randn(side, side), torch.randn(side, side)
    return {"product": lambda: one @ other, "product by oneDNN": lambda: rows_product(one, other)}
