"""One executor for every cell: its stages run forward and backward over packed steps, without autograd inside.

Why it is faster than the unroll: the product of all inputs is one matrix product outside (in the layer), the
gradient of each recurrent weight is one product over all steps, and no graph is built a step at a time.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from seqlens.cells import Cell, CellState, Stage, Values


def run_generic(
    cell: Cell, input_part: Float[Tensor, "steps rows"], batch_sizes: tuple[int, ...], state: CellState
) -> tuple[Float[Tensor, "steps hidden"], CellState]:
    """Runs a cell over packed steps; the arguments and the result are those of `run_reference`.

    Under autocast the recurrent products run in its dtype, states and pointwise functions in float32.
    """
    names = cell.state_names
    outputs, *final = _Sequence.apply(
        cell.stages,
        names,
        batch_sizes,
        torch.is_grad_enabled(),
        input_part,
        cell.recurrent_weight.to(input_part.dtype),
        cell.recurrent_bias,
        *(state[name] for name in names),
    )
    return outputs, dict(zip(names, final, strict=True))


class _Sequence(torch.autograd.Function):
    """All steps of one cell in one direction."""

    @staticmethod
    def forward(
        ctx: Any,
        stages: tuple[Stage, ...],
        names: tuple[str, ...],
        batch_sizes: tuple[int, ...],
        keep: bool,
        input_part: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        *initial: Tensor,
    ) -> tuple[Tensor, ...]:
        plan = _Plan(stages, weight, bias)
        running = dict(zip(names, initial, strict=True))
        ended: dict[str, list[Tensor]] = {name: [] for name in names}
        outputs: list[Tensor] = []
        saved: list[Values] = []
        operands: list[list[Tensor]] = [[] for _ in stages]
        for input_t, size in zip(input_part.split(batch_sizes), batch_sizes, strict=True):
            for name, tensor in running.items():
                if tensor.shape[0] > size:
                    ended[name].append(tensor[size:])
                    running[name] = tensor[:size]
            values: Values = dict(running)
            for number, stage in enumerate(stages):
                operand, product = plan.product(number, values[stage.operand])
                values.update(stage.forward(input_t[:, plan.rows[number]], product, values))
                if keep:
                    operands[number].append(operand)
            running = {name: values["new_" + name] for name in names}
            outputs.append(running["hidden"].to(weight.dtype))
            if keep:
                saved.append({name: values[name] for name in plan.saved})
        ctx.plan, ctx.names, ctx.batch_sizes = plan, names, batch_sizes
        ctx.shapes = (input_part.shape, initial[0].dtype, None if bias is None else bias.dtype)
        # Saved by autograd, they are freed by the backward pass, and a weight changed before it is an error.
        ctx.save_for_backward(
            weight,
            *(values[name] for values in saved for name in plan.saved),
            *(operand for steps in operands for operand in steps),
        )
        final = [torch.cat([running[name], *reversed(ended[name])]) for name in names]
        packed = torch.cat(outputs) if outputs else input_part.new_zeros(0, weight.shape[1])
        return (packed, *final)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError("the generic executor has no second derivative: use executor='reference' for that")
        plan, names, batch_sizes = ctx.plan, ctx.names, ctx.batch_sizes
        output_gradient, final_gradients = gradients[0], dict(zip(names, gradients[1:], strict=True))
        input_shape, state_dtype, bias_dtype = ctx.shapes
        saved_values, operands = plan.unflatten(ctx.saved_tensors[1:], len(batch_sizes))
        input_gradient = output_gradient.new_empty(input_shape)
        product_gradients: list[list[Tensor]] = [[] for _ in plan.stages]
        offset = input_shape[0]
        last = batch_sizes[-1] if batch_sizes else 0
        running = {name: gradient[:last] for name, gradient in final_gradients.items()}
        for step in range(len(batch_sizes) - 1, -1, -1):
            size = batch_sizes[step]
            offset -= size
            here = slice(offset, offset + size)
            for name, gradient in running.items():
                if gradient.shape[0] < size:
                    running[name] = torch.cat((gradient, final_gradients[name][gradient.shape[0] : size]))
            step_gradients = {"new_" + name: gradient for name, gradient in running.items()}
            step_gradients["new_hidden"] = step_gradients["new_hidden"] + output_gradient[here]
            values = saved_values[step]
            for number in range(len(plan.stages) - 1, -1, -1):
                stage = plan.stages[number]
                result = stage.backward(step_gradients, values)
                input_gradient[here, plan.rows[number]] = result.input_part
                operand_gradient, product_gradient = plan.product_backward(number, result.product)
                product_gradients[number].append(product_gradient)
                for name, gradient in result.values.items():
                    _accumulate(step_gradients, name, gradient)
                _accumulate(step_gradients, stage.operand, operand_gradient)
            running = {name: step_gradients[name] for name in names}
        weight_gradient = _weight_gradient(plan, operands, product_gradients)
        bias_gradient = None
        if bias_dtype is not None:
            bias_gradient = torch.cat([_summed(steps, plan.weights[0]) for steps in product_gradients]).to(bias_dtype)
        initial = [
            torch.cat((running[name], final_gradients[name][running[name].shape[0] :])).to(state_dtype)
            for name in names
        ]
        return (None, None, None, None, input_gradient, weight_gradient, bias_gradient, *initial)


class _Plan:
    """Per stage: its rows of the weights, its weight ready for both products, what backward reads."""

    def __init__(self, stages: tuple[Stage, ...], weight: Tensor, bias: Tensor | None) -> None:
        hidden_dim = weight.shape[1]
        self.stages = stages
        self.dtype = weight.dtype
        self.rows: list[slice] = []
        first = 0
        for stage in stages:
            self.rows.append(slice(first, first + len(stage.gates) * hidden_dim))
            first = self.rows[-1].stop
        self.weights = [weight[rows] for rows in self.rows]
        # Contiguous once: a transposed operand would be re-laid-out by the product at every step.
        self.transposed = [part.t().contiguous() for part in self.weights]
        self.biases = [None if bias is None else bias[rows] for rows in self.rows]
        self.saved = tuple({name for stage in stages for name in stage.saved})

    def unflatten(self, tensors: Sequence[Tensor], steps: int) -> tuple[list[Values], list[Sequence[Tensor]]]:
        """The values of every step by name, and the operands of every stage by step, out of one flat row."""
        width = len(self.saved)
        values = [
            dict(zip(self.saved, tensors[step * width : (step + 1) * width], strict=True)) for step in range(steps)
        ]
        rest = tensors[steps * width :]
        return values, [rest[number * steps : (number + 1) * steps] for number in range(len(self.stages))]

    def product(self, number: int, operand: Tensor) -> tuple[Tensor, Tensor]:
        """The operand as it entered the product, and the product in the states' dtype."""
        bias = self.biases[number]
        if operand.dtype == self.dtype:
            if bias is None:
                return operand, operand @ self.transposed[number]
            return operand, torch.addmm(bias, operand, self.transposed[number])
        lowered = operand.to(self.dtype)
        product = (lowered @ self.transposed[number]).to(operand.dtype)
        return lowered, product if bias is None else product + bias

    def product_backward(self, number: int, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """Gradient of the operand in the states' dtype, and that of the product as it enters the weight's."""
        lowered = gradient.to(self.dtype)
        return (lowered @ self.weights[number]).to(gradient.dtype), lowered


def _accumulate(gradients: Values, name: str, gradient: Tensor) -> None:
    gradients[name] = gradients[name] + gradient if name in gradients else gradient


def _weight_gradient(plan: _Plan, operands: list[Sequence[Tensor]], gradients: list[list[Tensor]]) -> Tensor:
    """One product over all steps for each stage."""
    parts = []
    for number, steps in enumerate(gradients):
        if not steps:
            return torch.zeros_like(torch.cat(plan.weights))
        parts.append(torch.cat(steps[::-1]).t() @ torch.cat(tuple(operands[number])))
    return torch.cat(parts)


def _summed(steps: list[Tensor], weight: Tensor) -> Tensor:
    if not steps:
        return weight.new_zeros(weight.shape[0], dtype=torch.float32)
    return torch.cat(steps).sum(0, dtype=torch.float32 if weight.dtype == torch.bfloat16 else weight.dtype)
