"""An LSTM and a GRU beside ONNX Runtime (forward) and a jitted `lax.scan` (both ways), where those are installed."""

import importlib.util
from collections.abc import Callable
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from benchmarks.speed.figures import Figure, Result
from benchmarks.speed.recurrent_figures import TIMED, sizes_of, timed, times_over
from benchmarks.speed.recurrent_variants import TOLERANCE, Case
from seqlens.cells import CellKind
from seqlens.cli.printing import note

CELLS: tuple[CellKind, ...] = ("lstm", "gru")
"""The GRU resets before the product, which is where other libraries have no fast layer; these two do not mind."""


def measure(*, quick: bool) -> Result:
    """What is not installed is left out, with a note."""
    has_onnx = all(importlib.util.find_spec(name) for name in ("onnx", "onnxruntime"))
    has_jax = importlib.util.find_spec("jax") is not None
    missing = [name for name, there in (("ONNX Runtime", has_onnx), ("jax", has_jax)) if not there]
    if missing:
        note(f"Left out, as not installed: {' and '.join(missing)}; pip install -e '.[bench]' brings them.")
    figures: list[Figure] = []
    for size in sizes_of(quick=quick):
        for kind in CELLS:
            case = Case(kind, size)
            if has_onnx:
                figures += _beside_onnx(case, quick=quick)
            if has_jax:
                figures += _beside_scan(case, quick=quick)
    facts = {
        "time": TIMED,
        "other libraries": "outputs, and for lax.scan the gradients of inputs and weights, asserted equal to 1e-5 of "
        "the largest entry (1e-4 for weights, whose gradients are sums over all steps); ONNX Runtime has as many "
        f"threads as torch, {torch.get_num_threads()}, XLA takes as many cores as the process may use"
        + (f"; not installed: {', '.join(missing)}" if missing else ""),
    }
    return Result(
        name="recurrent_peers",
        title="Recurrent layers beside ONNX Runtime and a jitted lax.scan",
        figures=tuple(figures),
        facts=facts,
    )


def _beside_onnx(case: Case, *, quick: bool) -> list[Figure]:
    runtime = OnnxRuntime(case)
    _assert_near({"outputs": (runtime(), case.forward())}, f"{case.kind} {case.size} in ONNX Runtime")
    times = timed(f"{case.kind}, {case.size}", {"ours": case.forward, "ONNX Runtime": runtime}, quick=quick)
    name = f"{case.kind}, {case.size}, forward: time of ONNX Runtime over ours"
    return [times_over(name, times["ONNX Runtime"], times["ours"], None)]


def _beside_scan(case: Case, *, quick: bool) -> list[Figure]:
    scan = Scan(case)
    where = f"{case.kind} {case.size} in lax.scan"
    _assert_near({"outputs": (scan.forward(), case.forward())}, where)
    ours, theirs = case.train(), scan.train()
    gradients = {name: (theirs[name], ours.weights[f"layers.0.forward_cell.{name}"]) for name in scan.names}
    _assert_near({"inputs": (theirs["inputs"], ours.inputs), **gradients}, where)
    variants: dict[str, Callable[[], Any]] = {
        "ours": case.train,
        "scan": scan.run_both,
        "our forward": case.forward,
        "scan forward": scan.run_forward,
    }
    times = timed(f"{case.kind}, {case.size}", variants, quick=quick)
    label = f"{case.kind}, {case.size}"
    return [
        times_over(f"{label}, training step: time of a jitted lax.scan over ours", times["scan"], times["ours"], None),
        times_over(
            f"{label}, forward: time of a jitted lax.scan over ours", times["scan forward"], times["our forward"], None
        ),
    ]


def _assert_near(pairs: dict[str, tuple[Tensor, Tensor]], where: str) -> None:
    for name, (theirs, ours) in pairs.items():
        difference = float((theirs - ours).abs().max() / ours.abs().max())
        # A weight's gradient is a sum over all steps, which float32 rounds as often.
        tolerance = TOLERANCE if "weight" not in name and "bias" not in name else 10 * TOLERANCE
        assert difference <= tolerance, f"{where}: {name} differ by {difference:.1e}"


@final
class OnnxRuntime:
    """The layer as one ONNX node."""

    def __init__(self, case: Case) -> None:
        import onnx
        import onnxruntime

        (node,) = case.layer.to_onnx()
        arrays = {"W": node.w, "R": node.r, "B": node.b}
        time, batch, hidden = case.size.time, case.size.batch, case.size.hidden
        value, number = onnx.helper.make_tensor_value_info, onnx.TensorProto.FLOAT
        graph = onnx.helper.make_graph(
            [onnx.helper.make_node(node.op_type, ["X", *arrays], ["Y"], **node.attributes)],
            "layer",
            [value("X", number, [time, batch, hidden])],
            [value("Y", number, [time, 1, batch, hidden])],
            [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()],
        )
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 14)], ir_version=8)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        self._session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self._inputs = {"X": np.ascontiguousarray(case.inputs.detach().transpose(0, 1).numpy())}

    def __call__(self) -> Tensor:
        """Outputs `[batch, time, hidden]`."""
        (y,) = self._session.run(None, self._inputs)
        return torch.from_numpy(y[:, 0]).transpose(0, 1)


@final
class Scan:
    """The cell's equations in jax: the product of all inputs, then `lax.scan` over the steps, compiled as one."""

    def __init__(self, case: Case) -> None:
        import jax
        import jax.numpy as jnp

        cell = case.cell
        self.names = ("input_weight", "recurrent_weight", "bias")
        self._weights = {name: jnp.asarray(cell.get_parameter(name).detach().numpy()) for name in self.names}
        self._inputs = jnp.asarray(case.inputs.detach().numpy())
        self._gradient = jnp.asarray(case.gradient.numpy())
        step, width = {"lstm": (_lstm_step, 2), "gru": (_gru_step, 1)}[case.kind]
        zeros = jnp.zeros((width, case.size.batch, case.size.hidden))

        def outputs(inputs: Any, weights: dict[str, Any]) -> Any:
            parts = jnp.swapaxes(inputs @ weights["input_weight"].T + weights["bias"], 0, 1)
            _, found = jax.lax.scan(lambda state, part: step(jnp, jax, state, part, weights), zeros, parts)
            return jnp.swapaxes(found, 0, 1)

        def both(inputs: Any, weights: dict[str, Any], gradient: Any) -> Any:
            found, back = jax.vjp(outputs, inputs, weights)
            return found, *back(gradient)

        self._forward, self._both, self._wait = jax.jit(outputs), jax.jit(both), jax.block_until_ready

    def forward(self) -> Tensor:
        """Outputs `[batch, time, hidden]`."""
        return _to_torch(self.run_forward())

    def train(self) -> dict[str, Tensor]:
        """Outputs, and the gradients of inputs and weights by name."""
        found, inputs, weights = self.run_both()
        gradients = {name: _to_torch(gradient) for name, gradient in weights.items()}
        return {"outputs": _to_torch(found), "inputs": _to_torch(inputs), **gradients}

    def run_forward(self) -> Any:
        """The same as jax has it, which is what is timed."""
        return self._wait(self._forward(self._inputs, self._weights))

    def run_both(self) -> Any:
        """The same as jax has it, which is what is timed."""
        return self._wait(self._both(self._inputs, self._weights, self._gradient))


def _lstm_step(jnp: Any, jax: Any, state: Any, part: Any, weights: dict[str, Any]) -> Any:
    hidden, cell = state
    input_gate, forget_gate, candidate, output_gate = jnp.split(part + hidden @ weights["recurrent_weight"].T, 4, 1)
    cell = jax.nn.sigmoid(forget_gate) * cell + jax.nn.sigmoid(input_gate) * jnp.tanh(candidate)
    hidden = jax.nn.sigmoid(output_gate) * jnp.tanh(cell)
    return jnp.stack((hidden, cell)), hidden


def _gru_step(jnp: Any, jax: Any, state: Any, part: Any, weights: dict[str, Any]) -> Any:
    (hidden,) = state
    width = hidden.shape[1]
    gates, candidate = weights["recurrent_weight"][: 2 * width], weights["recurrent_weight"][2 * width :]
    reset, update = jnp.split(jax.nn.sigmoid(part[:, : 2 * width] + hidden @ gates.T), 2, 1)
    candidate = jnp.tanh(part[:, 2 * width :] + (reset * hidden) @ candidate.T)
    hidden = (1 - update) * hidden + update * candidate
    return hidden[None], hidden


def _to_torch(array: Any) -> Tensor:
    return torch.from_numpy(np.array(array))
