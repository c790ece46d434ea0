"""The endless source of training batches, as the loop wants it."""

from collections.abc import Mapping
from typing import Any, final

from seqlens.data.loader import Loader


@final
class TrainingBatches:
    """The endless source of training batches: a loader with the sampler's epoch beside it."""

    def __init__(self, loader: Loader[Any]) -> None:
        self._loader = loader

    @property
    def epoch(self) -> int:
        return int(self._loader.state_dict()["epochs_ended"])

    def __next__(self) -> Any:
        return next(self._loader)

    def state_dict(self) -> dict[str, Any]:
        return self._loader.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._loader.load_state_dict(state)

    def close(self) -> None:
        self._loader.close()
