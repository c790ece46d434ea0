"""The state that training on a running text carries from batch to batch."""

from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor

from seqlens.models.language_model import LanguageModel, LanguageState, pack_state, unpack_state
from seqlens.tasks.generate.datasets import TextBatch


@final
class CarriedState:
    """Where the last batch ended, without its graph; as tensors it is a part of a training's checkpoints."""

    def __init__(self, model: LanguageModel) -> None:
        self._model = model
        self._state: LanguageState | None = None

    def before(self, batch: TextBatch) -> LanguageState | None:
        """The state in which a batch begins; None where it begins streams.

        Raises:
            RuntimeError: the batch continues one that was not seen.
        """
        if not batch.continues:
            return None
        if self._state is None:
            raise RuntimeError("a batch continues another one, but no state was carried to it")
        rows = len(batch.inputs.lengths)
        return self._state.select(torch.arange(rows, device=batch.inputs.ids.device))

    def after(self, state: LanguageState) -> None:
        """Takes the state in which a batch ended."""
        self._state = state.detach()

    def state_tensors(self) -> dict[str, Tensor]:
        if self._state is None:
            return {}
        return {name: tensor.cpu() for name, tensor in pack_state(self._state).items()}

    def load_state_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Takes over what `state_tensors` returned. ValueError if it is of another model."""
        self._state = unpack_state(self._model, dict(tensors)) if tensors else None
