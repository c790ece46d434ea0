"""One executor for every cell: its stages run forward and backward over packed steps, without autograd inside.

Why it is faster than the unroll: the product of all inputs is one matrix product outside (in the layer), the
gradient of each recurrent weight is one product over all steps, and no graph is built a step at a time.
"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from seqlens.cells import Cell, CellState, Masks, Stage, Values, zone_out
from seqlens.layers.executors.products import BackwardProduct, ForwardProduct, buffer_of, write
from seqlens.layers.precision import product_dtype


def run_generic(
    cell: Cell,
    input_part: Float[Tensor, "steps rows"],
    batch_sizes: tuple[int, ...],
    state: CellState,
    masks: Masks | None = None,
) -> tuple[Float[Tensor, "steps hidden"], CellState]:
    """Runs a cell over packed steps; the arguments and the result are those of `run_reference`.

    Under autocast the recurrent products run in its dtype, states and pointwise functions in float32.
    """
    masks = Masks() if masks is None else masks
    recurrence = cell.recurrence(masks.weight)
    dtype = product_dtype(cell.recurrent_weight)
    run = _Run(
        stages=recurrence.stages,
        rows=tuple(recurrence.input_rows()),
        names=cell.state_names,
        vectors=tuple(recurrence.vectors),
        batch_sizes=batch_sizes,
        masks=masks,
        keep=torch.is_grad_enabled(),
    )
    outputs, *final = _Sequence.apply(
        run,
        input_part,
        *(weight.to(dtype) for weight in recurrence.weights),
        *recurrence.vectors.values(),
        *(state[name] for name in run.names),
    )
    return outputs, dict(zip(run.names, final, strict=True))


@dataclass(frozen=True, slots=True)
class _Run:
    """What is no tensor to be differentiated by: stages, their columns of the input part, names, lengths, masks."""

    stages: tuple[Stage, ...]
    rows: tuple[slice, ...]
    names: tuple[str, ...]
    vectors: tuple[str, ...]
    batch_sizes: tuple[int, ...]
    masks: Masks
    keep: bool

    @property
    def saved(self) -> tuple[str, ...]:
        """The values of a step that some backward reads."""
        return tuple(sorted({name for stage in self.stages for name in stage.saved} - set(self.vectors)))

    def operand_mask(self, number: int) -> Tensor | None:
        return self.masks.operand if self.stages[number].gates else None


class _Sequence(torch.autograd.Function):
    """All steps of one cell in one direction."""

    @staticmethod
    def forward(ctx: Any, run: _Run, input_part: Tensor, *tensors: Any) -> tuple[Tensor, ...]:
        count = len(run.stages)
        weights, rest = tensors[:count], tensors[count:]
        vectors = dict(zip(run.vectors, rest, strict=False))
        running = dict(zip(run.names, rest[len(vectors) :], strict=True))
        sizes, state_dtype, steps = run.batch_sizes, running["hidden"].dtype, input_part.shape[0]
        products = [
            ForwardProduct(weight, run.operand_mask(number), steps, sizes, state_dtype, run.keep)
            for number, weight in enumerate(weights)
        ]
        ended: dict[str, list[Tensor]] = {name: [] for name in run.names}
        outputs = input_part.new_empty(steps, weights[0].shape[1], dtype=weights[0].dtype)
        saved: list[Tensor] = []
        names, first, zones = run.saved, 0, bool(run.masks.zoneout)
        for input_t, output, size in zip(input_part.split(sizes), outputs.split(sizes), sizes, strict=True):
            for name, tensor in running.items():
                if tensor.shape[0] > size:
                    ended[name].append(tensor[size:])
                    running[name] = tensor[:size]
            if input_t.dtype != state_dtype:
                input_t = input_t.to(state_dtype)
            values: Values = {**vectors, **running}
            for stage, product, rows in zip(run.stages, products, run.rows, strict=True):
                input_rows = input_t if count == 1 else input_t[:, rows]
                values.update(stage.forward(input_rows, product(values[stage.operand], first), values))
            if run.keep:
                saved += [values[name] for name in names]
            running = {name: values["new_" + name] for name in run.names}
            if zones:
                for name, mask in run.masks.of_step(first, size).zoneout.items():
                    running[name] = zone_out(running[name], values[name], mask)
            output.copy_(running["hidden"])
            first += size
        ctx.run, ctx.kinds = run, (input_part.shape, input_part.dtype, state_dtype)
        # Saved by autograd, they are freed by the backward pass, and a weight changed before it is an error.
        ctx.save_for_backward(*weights, *vectors.values(), *(product.operands for product in products), *saved)
        final = [torch.cat([running[name], *reversed(ended[name])]) for name in run.names]
        return (outputs, *final)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError("the generic executor has no second derivative: use executor='reference' for that")
        run: _Run = ctx.run
        count, tensors = len(run.stages), ctx.saved_tensors
        weights, rest = tensors[:count], tensors[count:]
        vectors = dict(zip(run.vectors, rest, strict=False))
        operands, saved = rest[len(vectors) : len(vectors) + count], rest[len(vectors) + count :]
        (steps, rows), input_dtype, state_dtype = ctx.kinds
        sizes, names, zones = run.batch_sizes, run.saved, bool(run.masks.zoneout)
        products = [BackwardProduct(weights[n], run.operand_mask(n), steps, state_dtype) for n in range(count)]
        input_gradient = buffer_of(weights[0], steps, rows, input_dtype)
        final = dict(zip(run.names, gradients[1:], strict=True))
        output_gradients = gradients[0].split(sizes)
        vector_gradients: Values = {}
        first, last = steps, sizes[-1] if sizes else 0
        running = {name: gradient[:last] for name, gradient in final.items()}
        for step in range(len(sizes) - 1, -1, -1):
            size = sizes[step]
            first -= size
            for name, gradient in running.items():
                if gradient.shape[0] < size:
                    running[name] = torch.cat((gradient, final[name][gradient.shape[0] : size]))
            found: Values = {"new_" + name: gradient for name, gradient in running.items()}
            found["new_hidden"] = found["new_hidden"] + output_gradients[step]
            direct = _zoned(found, run.masks.of_step(first, size)) if zones else {}
            values = {**vectors, **dict(zip(names, saved[step * len(names) : (step + 1) * len(names)], strict=True))}
            for number in range(count - 1, -1, -1):
                stage, product = run.stages[number], products[number]
                result = stage.backward(found, values)
                for name, gradient in result.values.items():
                    _accumulate(vector_gradients if name in vectors else found, name, gradient)
                room = input_gradient if count == 1 else input_gradient[:, run.rows[number]]
                write(room[first : first + size], result.input_part)
                if result.product is result.input_part and input_dtype == weights[number].dtype:
                    product.share(room)
                else:
                    product.write(result.product, first, size)
                _accumulate(found, stage.operand, product.operand_gradient(first, size, state_dtype))
            running = {name: found[name] for name in run.names}
            for name, gradient in direct.items():
                running[name] = running[name] + gradient
        initial = [torch.cat((running[name], final[name][running[name].shape[0] :])) for name in run.names]
        return (
            None,
            input_gradient[:steps],
            *(product.weight_gradient(operand) for product, operand in zip(products, operands, strict=True)),
            *(vector_gradients.get(name, torch.zeros_like(vector)) for name, vector in vectors.items()),
            *initial,
        )


def _zoned(gradients: Values, masks: Masks) -> Values:
    """Splits the gradient of each zoned state: what goes straight to the old one is returned, the rest stays."""
    direct: Values = {}
    for name, mask in masks.zoneout.items():
        gradient = gradients["new_" + name]
        direct[name] = gradient * mask
        gradients["new_" + name] = gradient - direct[name]
    return direct


def _accumulate(gradients: Values, name: str, gradient: Tensor) -> None:
    gradients[name] = gradients[name] + gradient if name in gradients else gradient
