"""A cell of one's own for the contract tests: what no built-in cell has all at once."""

from typing import ClassVar, final

import torch
from torch import Tensor

from seqlens.cells import Cell, Stage, StageGradient, Values


@final
class ForgetStage:
    """A cell of one's own, first half: a forget gate that also sees the cell (a peephole)."""

    operand: ClassVar[str] = "hidden"
    gates: ClassVar[tuple[str, ...]] = ("forget",)
    saved: ClassVar[tuple[str, ...]] = ("forget",)

    def forward(self, input_part: Tensor, product: Tensor, values: Values) -> Values:
        forget = torch.sigmoid(input_part + product + values["cell"])
        return {"forget": forget, "kept": forget * values["cell"].sin()}

    def backward(self, gradients: Values, values: Values) -> StageGradient:
        forget, cell = values["forget"], values["cell"]
        gradient = (gradients["forget"] + gradients["kept"] * cell.sin()) * forget * (1 - forget)
        return StageGradient(gradient, gradient, {"cell": gradient + gradients["kept"] * forget * cell.cos()})


@final
class WriteStage:
    """Second half: writes what was forgotten (coupled gates), multiplies the same hidden state again."""

    operand: ClassVar[str] = "hidden"
    gates: ClassVar[tuple[str, ...]] = ("candidate", "output")
    saved: ClassVar[tuple[str, ...]] = ("forget", "kept", "candidate", "output", "cell", "hidden", "new_cell")

    def forward(self, input_part: Tensor, product: Tensor, values: Values) -> Values:
        candidate, output = torch.tanh(input_part + 2 * product).chunk(2, dim=1)
        cell = values["kept"] + (1 - values["forget"]) * candidate
        hidden = output * cell + values["hidden"] / 2
        return {"candidate": candidate, "output": output, "new_cell": cell, "new_hidden": hidden}

    def backward(self, gradients: Values, values: Values) -> StageGradient:
        candidate, output = values["candidate"], values["output"]
        cell = gradients["new_cell"] + gradients["new_hidden"] * output
        gates = torch.cat((cell * (1 - values["forget"]), gradients["new_hidden"] * values["new_cell"]), dim=1)
        gates = gates * (1 - torch.cat((candidate, output), dim=1) ** 2)
        read = {"kept": cell, "forget": -cell * candidate, "hidden": gradients["new_hidden"] / 2}
        return StageGradient(gates, 2 * gates, read)


@final
class OwnCell(Cell):
    """Two states, two stages with one operand, values that are no gates: what no built-in cell has all at once."""

    gates: ClassVar[tuple[str, ...]] = ("forget", "candidate", "output")
    state_names: ClassVar[tuple[str, ...]] = ("hidden", "cell")

    @property
    def stages(self) -> tuple[Stage, ...]:
        return (ForgetStage(), WriteStage())
