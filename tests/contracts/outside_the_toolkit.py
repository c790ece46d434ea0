"""Our layers in torch's own machinery; `test_use_outside.py` runs this in a process of its own.

There no shapes are checked at run time: a compiler cannot trace those checks, nor can a person's own process have them.
"""

import os
import sys
import tempfile
from collections.abc import Callable
from datetime import timedelta

import torch
import torch._dynamo
import torch.distributed
import torch.multiprocessing
from torch import Tensor, nn

from seqlens.cells import CellKind
from seqlens.layers import CausalTransformer, RecurrentState
from seqlens.layers.build import build_recurrent
from seqlens.layers.state import LayerState
from seqlens.testing import assert_same_function

TIME = 3


def inputs_and_lengths(batch: int, lengths: list[int]) -> tuple[Tensor, Tensor]:
    inputs = torch.randn(batch, TIME, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    lengths_tensor = torch.tensor(lengths)
    padding = torch.arange(TIME)[None, :] >= lengths_tensor[:, None]
    return inputs.masked_fill(padding[:, :, None], torch.nan), lengths_tensor


def layer_of(kind: CellKind, num_layers: int = 1) -> nn.Module:
    torch.manual_seed(0)
    return build_recurrent(kind, 2, 3, bidirectional=True, num_layers=num_layers).double()


def compile_whole(kind: CellKind) -> None:
    """One graph without a break, with lengths and without, outputs and all gradients."""
    layer = layer_of(kind)
    torch.compiler.reset()
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    for lengths in ([3, 0, 2], [1, 3, 3]):
        given = inputs_and_lengths(3, lengths)
        assert_same_function(lambda *a: compiled(*a), layer, *given)
        assert_same_gradients(compiled, layer, given)
    whole = given[0].nan_to_num()
    assert_same_function(lambda inputs: compiled(inputs), layer, whole)
    explained = torch._dynamo.explain(layer)(*given)
    assert (explained.graph_count, explained.graph_break_count) == (1, 0), explained.break_reasons


def assert_same_gradients(actual: Callable[..., object], layer: nn.Module, given: tuple[Tensor, Tensor]) -> None:
    found = []
    for function in (actual, layer):
        layer.zero_grad()
        outputs, state = function(*given)  # type: ignore[misc]
        (outputs.square().sum() + state.last().sum()).backward()
        found.append({name: parameter.grad.clone() for name, parameter in layer.named_parameters()})
    for name, gradient in found[1].items():
        torch.testing.assert_close(found[0][name], gradient, rtol=1e-10, atol=1e-12, msg=name)


def export_with_lengths(kind: CellKind) -> None:
    """One exported program for every batch size and all lengths; padding is not read there either."""
    layer = layer_of(kind, num_layers=2)
    batch = torch.export.Dim("batch", min=2, max=64)
    program = torch.export.export(layer, inputs_and_lengths(3, [3, 0, 2]), dynamic_shapes=({0: batch}, {0: batch}))
    exported = program.module()
    for lengths in ([3, 0, 2], [1, 1], [2, 3, 0, 1, 3]):
        given = inputs_and_lengths(len(lengths), lengths)
        assert_same_function(lambda *a: exported(*a), layer, *given)


def export_without_lengths(kind: CellKind) -> None:
    layer = layer_of(kind)
    inputs = inputs_and_lengths(3, [3, 3, 3])[0]
    exported = torch.export.export(layer, (inputs,)).module()
    assert_same_function(lambda inputs: exported(inputs), layer, inputs)


class Step(nn.Module):
    """One step of a layer as a program of tensors alone."""

    def __init__(self, kind: CellKind) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = build_recurrent(kind, 2, 3).double()

    def forward(self, x_t: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        names = self.layer.initial_state(1).layers[0].forward
        state = RecurrentState((LayerState(dict(zip(names, states, strict=True))),))
        output, after = self.layer.step(x_t, state)
        return (output, *after.layers[0].forward.values())


def export_step(kind: CellKind) -> None:
    """One exported step for every batch size."""
    step = Step(kind).eval()
    batch = torch.export.Dim("batch", min=2, max=64)
    dims = [state.shape[1] for state in step.layer.initial_state(1).layers[0].forward.values()]

    def given(rows: int) -> tuple[Tensor, ...]:
        return tuple(torch.randn(rows, dim, dtype=torch.float64) for dim in (2, *dims))

    shapes = ({0: batch}, tuple({0: batch} for _ in dims))
    exported = torch.export.export(step, given(3), dynamic_shapes=shapes).module()
    for rows in (3, 5):
        values = given(rows)
        for found, expected in zip(exported(*values), step(*values), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def export_language_model(_: CellKind) -> None:
    """One exported Transformer for every batch size and all lengths."""
    model = CausalTransformer(2, num_layers=2, num_heads=2).double().eval()
    batch = torch.export.Dim("batch", min=2, max=64)
    example = inputs_and_lengths(3, [3, 0, 2])
    exported = torch.export.export(model, example, dynamic_shapes=({0: batch}, {0: batch})).module()
    for lengths in ([3, 0, 2], [1, 1], [2, 3, 0, 1, 3]):
        given = inputs_and_lengths(len(lengths), lengths)
        torch.testing.assert_close(exported(*given)[0], model(*given)[0], rtol=1e-12, atol=1e-12)


def distribute(kind: CellKind) -> None:
    """Gradients of two processes, half a batch each, are those of one process with the whole batch."""
    # Both processes are here: gloo need not look for a network, which some machines lack.
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo0" if sys.platform == "darwin" else "lo")
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(one_of_two, (kind, f"file://{folder}/meeting"), nprocs=2)


def one_of_two(rank: int, kind: CellKind, meeting: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=meeting, rank=rank, world_size=2, timeout=timedelta(seconds=120)
    )
    alone = layer_of(kind, num_layers=2)
    inputs, lengths = inputs_and_lengths(4, [3, 0, 2, 1])
    mean_loss(alone, inputs, lengths).backward()
    shared = nn.parallel.DistributedDataParallel(layer_of(kind, num_layers=2))
    half = slice(2 * rank, 2 * rank + 2)
    mean_loss(shared, inputs[half], lengths[half]).backward()
    for (name, parameter), other in zip(alone.named_parameters(), shared.parameters(), strict=True):
        assert parameter.grad is not None
        torch.testing.assert_close(other.grad, parameter.grad, rtol=1e-10, atol=1e-12, msg=name)
        assert parameter.grad.any(), name
    torch.distributed.barrier()
    # To take the group apart has hung, once the other process was gone: what is tested is over.
    os._exit(0)


def mean_loss(layer: nn.Module, inputs: Tensor, lengths: Tensor) -> Tensor:
    outputs, state = layer(inputs, lengths)
    return outputs.square().sum(dim=(1, 2)).mean() + state.last().sum(1).mean()


if __name__ == "__main__":
    _, what, *kinds = sys.argv
    for kind in kinds:
        globals()[what](kind)
    print("done", *kinds)
