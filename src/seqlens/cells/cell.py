"""What all cells have in common: parameters in one layout, stages, named state."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from itertools import accumulate
from typing import Any, ClassVar, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from seqlens.cells.masks import Masks
from seqlens.cells.stage import CellState, CellStep, Recurrence, Stage, Values, run_stages
from seqlens.errors import check_choice

Start = Literal["orthogonal", "chrono", "identity", "uniform"]
"""How weights start: see `Cell.start`."""

Linear = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""`(inputs, weight, bias) -> inputs @ weight.T + bias`."""


class Cell(nn.Module, ABC):
    """One recurrent cell.

    Weights (one layout, since run folders outlive code), rows in the order of `gates`, `gate_dim` a gate, which is
    `hidden_dim` but for a projected LSTM: `input_weight [gates * gate_dim, input_dim]`,
    `recurrent_weight [gates * gate_dim, hidden_dim]`, `bias [gates * gate_dim]`. Parameters whose name ends in `gain`
    multiply and start at 1.

    `keep_gates` let the old state stay where they are open, `write_gates` let the new one in.
    """

    gates: ClassVar[tuple[str, ...]]
    state_names: ClassVar[tuple[str, ...]] = ("hidden",)
    keep_gates: ClassVar[tuple[str, ...]] = ()
    write_gates: ClassVar[tuple[str, ...]] = ()
    default_forget_bias: ClassVar[float] = 0.0

    recurrent_weight: Tensor

    def __init__(
        self, input_dim: int, hidden_dim: int, *, bias: bool = True, gate_dim: int | None = None, recurrent: bool = True
    ) -> None:
        """`recurrent=False` is for cells that multiply no state by a weight: theirs has no rows."""
        super().__init__()
        self.input_dim = input_dim
        self.hidden_dim = hidden_dim
        self.gate_dim = gate_dim or hidden_dim
        rows = len(self.gates) * self.gate_dim
        self.input_weight = nn.Parameter(torch.empty(rows, input_dim))
        if recurrent:
            self.recurrent_weight = nn.Parameter(torch.empty(rows, hidden_dim))
        else:
            # No parameter: nothing of it is saved or trained, and stages need no case for it.
            self.register_buffer("recurrent_weight", torch.empty(0, hidden_dim), persistent=False)
        self.bias = nn.Parameter(torch.empty(rows)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Xavier uniform input weights a gate at a time, orthogonal recurrent weights, zero biases.

        Orthogonal: Saxe et al. 2014. An LSTM's forget gate starts at a bias of 1 (Jozefowicz et al. 2015).
        """
        with torch.no_grad():
            for block in self.input_weight.split(self.gate_dim):
                nn.init.xavier_uniform_(block)
            for block in self.recurrent_weight.split(self.gate_dim):
                nn.init.orthogonal_(block)
            for name, parameter in self.named_parameters():
                if parameter.ndim == 1:
                    parameter.fill_(1.0 if name.endswith("gain") else 0.0)
        if self.bias is not None and self.default_forget_bias:
            self.set_forget_bias(self.default_forget_bias)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        # Weights that are assigned bring their device with them; a buffer that is not loaded stays behind.
        if self.recurrent_weight.is_meta and not self.input_weight.is_meta:
            self.recurrent_weight = self.input_weight.detach().new_empty(self.recurrent_weight.shape)

    def start(self, start: Start, *, longest: int | None = None) -> None:
        """Starts the weights afresh by name.

        `orthogonal`: as `reset_parameters` (Saxe et al. 2014). `chrono`: as that, but the gates' biases start where the
        cell forgets after 1 to `longest - 1` steps, drawn evenly (Tallec & Ollivier 2018, section 3). `identity`: the
        recurrent weight is the identity and inputs count little (Le et al. 2015, section 4), for cells without gates.
        `uniform`: everything from -1/√hidden_dim to that, torch's own.

        Raises:
            ValueError: this cell cannot start so.
        """
        check_choice("start", start, get_args(Start))
        name = type(self).__name__
        if longest is not None and start != "chrono":
            raise ValueError(f"`longest` is for start='chrono', but start is {start!r}")
        self.reset_parameters()
        match start:
            case "orthogonal":
                pass
            case "chrono":
                self._start_chrono(longest)
            case "identity":
                if self.recurrent_weight.shape[0] != self.hidden_dim or len(self.gates) != 1:
                    raise ValueError(f"start='identity' is for cells without gates, such as RNNCell, not for {name}")
                with torch.no_grad():
                    nn.init.eye_(self.recurrent_weight)
                    nn.init.normal_(self.input_weight, std=0.001)
            case "uniform":
                with torch.no_grad():
                    bound = 1 / math.sqrt(self.gate_dim)
                    for key, parameter in self.named_parameters():
                        if not key.endswith("gain"):
                            parameter.uniform_(-bound, bound)

    def set_forget_bias(self, forget_bias: float) -> None:
        """Sets the bias of the gates that keep the state, or its opposite in those that overwrite it.

        Gers et al. 2000; Jozefowicz et al. 2015, section 2.2.

        Raises:
            ValueError: the cell has no such gate, or no biases.
        """
        self._fill_biases(torch.full((self.gate_dim,), forget_bias), f"forget_bias={forget_bias}", both=False)

    def _start_chrono(self, longest: int | None) -> None:
        if longest is None or longest < 3:
            raise ValueError(f"start='chrono' needs `longest`, the steps to remember, of at least 3, but has {longest}")
        spans = torch.empty(self.gate_dim).uniform_(1.0, longest - 1.0)
        self._fill_biases(torch.log(spans), "start='chrono'", both=True)

    def _fill_biases(self, values: Tensor, wanted: str, *, both: bool) -> None:
        name = type(self).__name__
        if self.bias is None:
            raise ValueError(f"{wanted} needs biases, but {name} has bias=False")
        if not self.keep_gates and not self.write_gates:
            raise ValueError(f"{wanted} is for cells with a gate that keeps or overwrites the state, not for {name}")
        with torch.no_grad():
            for gate, block in zip(self.gates, self.bias.split(self.gate_dim), strict=True):
                if gate in self.keep_gates:
                    block.copy_(values)
                elif gate in self.write_gates and (both or not self.keep_gates):
                    block.copy_(-values)

    @property
    @abstractmethod
    def stages(self) -> tuple[Stage, ...]:
        """The stages of one step, in order; together they compute `gates`, in that order."""

    @property
    def recurrent_bias(self) -> Tensor | None:
        """The bias `[gates * gate_dim]` of the recurrent product as other libraries have it; None where it is zero."""
        return None

    @property
    def vectors(self) -> Values:
        """Parameters that stages read by name beside the step's values, such as the gains of a norm."""
        return {}

    @property
    def state_dims(self) -> dict[str, int]:
        """The size of each state by name."""
        return dict.fromkeys(self.state_names, self.hidden_dim)

    def input_part(
        self, inputs: Float[Tensor, "rows input"], linear: Linear = nn.functional.linear
    ) -> Float[Tensor, "rows gates"]:
        """What the inputs give to the gates, for any number of steps at once; `linear` computes the product."""
        return linear(inputs, self.input_weight, self.bias)

    def recurrence(self, weight_mask: Tensor | None = None) -> Recurrence:
        """What executors run; with a mask, the recurrent weight is multiplied by it."""
        weight = self.recurrent_weight if weight_mask is None else self.recurrent_weight * weight_mask
        return Recurrence(self.stages, self._weights(weight), self.vectors, self.gate_dim)

    def _weights(self, weight: Tensor) -> tuple[Tensor, ...]:
        """The recurrent weight cut into those of the stages."""
        stages = self.stages
        if len(stages) == 1:
            return (weight,)
        ends = list(accumulate(len(stage.gates) * self.gate_dim for stage in stages))
        return tuple(weight[first:end] for first, end in zip([0, *ends], ends, strict=False))

    def initial_state(
        self, batch_size: int, *, device: torch.device | None = None, dtype: torch.dtype | None = None
    ) -> CellState:
        """Zeros, `[batch_size, dim]` for each name."""
        weight = self.recurrent_weight
        return {
            name: torch.zeros(batch_size, dim, device=device or weight.device, dtype=dtype or weight.dtype)
            for name, dim in self.state_dims.items()
        }

    def forward(self, x_t: Float[Tensor, "batch input"], state: CellState, masks: Masks | None = None) -> CellStep:
        """Computes one step from the equations, differentiable by autograd."""
        masks = Masks() if masks is None else masks
        values = run_stages(self.recurrence(masks.weight), self.input_part(x_t), state, masks)
        return CellStep(
            values["new_hidden"],
            {name: values[f"new_{name}"] for name in self.state_names},
            {name: values[name] for name in self.gates},
        )
