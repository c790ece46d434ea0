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
from seqlens.layers.executors.products import BackwardProduct, ForwardProduct, StateRooms, operands_of
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

    def shares_states(self, number: int) -> bool:
        """Whether what a stage multiplies is the hidden state as it was put out."""
        return self.stages[number].operand == "hidden" and self.operand_mask(number) is None


class _Sequence(torch.autograd.Function):
    """All steps of one cell in one direction."""

    @staticmethod
    def forward(ctx: Any, run: _Run, input_part: Tensor, *tensors: Any) -> tuple[Tensor, ...]:
        count = len(run.stages)
        weights, rest = tensors[:count], tensors[count:]
        vectors = dict(zip(run.vectors, rest, strict=False))
        running = dict(zip(run.names, rest[len(vectors) :], strict=True))
        sizes, state_dtype, names = run.batch_sizes, running["hidden"].dtype, run.saved
        parts = [
            (
                stage,
                ForwardProduct(weights[n], run.operand_mask(n), sizes, state_dtype, run.keep),
                run.shares_states(n),
                input_part[:, run.rows[n]].split(sizes),
            )
            for n, stage in enumerate(run.stages)
        ]
        rooms = StateRooms(running["hidden"], sizes, weights[0], lowers=weights[0].dtype != state_dtype)
        ended: dict[str, list[Tensor]] = {name: [] for name in run.names}
        saved: list[Tensor] = []
        first, last, zones = 0, running["hidden"].shape[0], bool(run.masks.zoneout)
        casts = input_part.dtype != state_dtype
        for step, size in enumerate(sizes):
            if size != last:
                for name, tensor in running.items():
                    ended[name].append(tensor[size:])
                    running[name] = tensor[:size]
                last = size
            values: Values = {**vectors, **running}
            for stage, product, shares, inputs in parts:
                input_t = inputs[step].to(state_dtype) if casts else inputs[step]
                if shares:
                    multiplied = product.of_room(rooms.operand(step), size, state_dtype)
                else:
                    multiplied = product(values[stage.operand])
                values.update(stage.forward(input_t, multiplied, values))
            new = {name: values["new_" + name] for name in run.names}
            if zones:
                for name, mask in run.masks.of_step(first, size).zoneout.items():
                    new[name] = zone_out(new[name], running[name], mask)
                first += size
            kept = rooms.write(step, new["hidden"])
            if run.keep:
                # A value that is the new hidden state itself is kept once, where it was written.
                saved += [kept if values[name] is new["hidden"] else values[name] for name in names]
            running = {**new, "hidden": kept}
        ctx.run, ctx.kinds = run, (input_part.shape, input_part.dtype, state_dtype)
        # Saved by autograd, they are freed by the backward pass, and a weight changed before it is an error.
        ctx.save_for_backward(*weights, *vectors.values(), rooms.buffer, *(part[1].operands for part in parts), *saved)
        final = [torch.cat([running[name], *reversed(ended[name])]) for name in run.names]
        return (rooms.outputs, *final)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError("the generic executor has no second derivative: use executor='reference' for that")
        run: _Run = ctx.run
        count, tensors = len(run.stages), ctx.saved_tensors
        weights, rest = tensors[:count], tensors[count:]
        vectors = dict(zip(run.vectors, rest, strict=False))
        buffer, *operands = rest[len(vectors) : len(vectors) + 1 + count]
        saved = rest[len(vectors) + 1 + count :]
        shape, input_dtype, state_dtype = ctx.kinds
        sizes, names, zones = run.batch_sizes, run.saved, bool(run.masks.zoneout)
        parts = [
            (stage, BackwardProduct(weights[n], run.operand_mask(n), sizes, (input_dtype, state_dtype)))
            for n, stage in enumerate(run.stages)
        ]
        final = dict(zip(run.names, gradients[1:], strict=True))
        output_gradients = gradients[0].split(sizes)
        vector_gradients: Values = {}
        first, last = shape[0], sizes[-1] if sizes else 0
        running = {name: gradient[:last] for name, gradient in final.items()}
        for step in range(len(sizes) - 1, -1, -1):
            size = sizes[step]
            if size != last:
                for name, gradient in running.items():
                    running[name] = torch.cat((gradient, final[name][last:size]))
                last = size
            found: Values = {"new_" + name: gradient for name, gradient in running.items()}
            found["new_hidden"] = found["new_hidden"] + output_gradients[step]
            direct: Values = {}
            if zones:
                first -= size
                direct = _zoned(found, run.masks.of_step(first, size))
            values = {**vectors, **dict(zip(names, saved[step * len(names) : (step + 1) * len(names)], strict=True))}
            for stage, product in reversed(parts):
                result = stage.backward(found, values)
                for name, gradient in result.values.items():
                    _accumulate(vector_gradients if name in vectors else found, name, gradient)
                _accumulate(found, stage.operand, product.operand_gradient(result, step))
            running = {name: found[name] for name in run.names}
            for name, gradient in direct.items():
                running[name] = running[name] + gradient
        initial = [torch.cat((running[name], final[name][running[name].shape[0] :])) for name in run.names]
        if any(run.shares_states(n) for n in range(count)):
            shifted = operands_of(buffer, sizes)
            operands = [shifted if run.shares_states(n) else operand for n, operand in enumerate(operands)]
        no_input = weights[0].new_zeros(shape, dtype=input_dtype) if not sizes else None
        return (
            None,
            _side_by_side([product.input_gradient() for _, product in parts]) if sizes else no_input,
            *(product.weight_gradient(operand) for (_, product), operand in zip(parts, operands, strict=True)),
            *(vector_gradients.get(name, torch.zeros_like(vector)) for name, vector in vectors.items()),
            *initial,
        )


def _side_by_side(parts: list[Tensor | None]) -> Tensor:
    """The stages' gradients of the input part as one; a stage without gates has none."""
    found = [part for part in parts if part is not None]
    return found[0] if len(found) == 1 else torch.cat(found, dim=1)


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
