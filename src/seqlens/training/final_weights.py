"""Which weights a model is left with when training ends."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from seqlens.errors import WorkError
from seqlens.models.weights import PackedWeights, load_weights, tied_names
from seqlens.training.averaging import load_mean
from seqlens.training.checkpoint import CheckpointStore
from seqlens.training.config import TrainingConfig
from seqlens.training.observer import WeightsKind
from seqlens.training.state import TrainingState


class FinalWeights(NamedTuple):
    """Which weights, and of which step; None for the mean of several."""

    kind: WeightsKind
    step: int | None


def put_final_weights(
    state: TrainingState, store: CheckpointStore, config: TrainingConfig, *, warn: Callable[[str], None]
) -> FinalWeights:
    """Puts the mean of the last checkpoints, the best weights, or else the last ones into the model, in eval mode.

    A checkpoint that turns out damaged is left out, and `warn` is told.
    """
    model, aliases = state.model, tied_names(state.model.state_dict())
    state.optimizer.clear_gradients()
    model.eval()

    def readable(steps: list[int], stem: str) -> Iterator[PackedWeights]:
        for step in steps:
            try:
                yield PackedWeights(store.load_tensors(step, stem), aliases)
            except WorkError as error:
                warn(f"The weights of step {step} are left out of the final ones. {error}")

    if config.average_last:
        steps = sorted({*store.scheduled_steps(), state.step} - {0})[-config.average_last :]
        if weights := list(readable(steps, "model")):
            load_mean(model, weights)
            return FinalWeights("average", None)
    stem = "model" if state.average is None else "average"
    if state.best.step is not None:
        for best in readable([state.best.step], stem):
            load_weights(model, best.tensors, best.aliases)
            return FinalWeights("best" if state.average is None else "ema", state.best.step)
    if state.average is not None:
        load_weights(model, state.average.state_tensors(), aliases)
        return FinalWeights("ema", state.step)
    return FinalWeights("last", state.step)
