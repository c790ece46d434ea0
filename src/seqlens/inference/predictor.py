"""A trained model as a person uses it: raw inputs in, typed answers out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, final, overload

import torch

from seqlens.config import parse_config, to_plain
from seqlens.decoding import DecodingConfig
from seqlens.errors import RequestError
from seqlens.inference.device import choose_device
from seqlens.inference.run_folder import LoadedRun, read_run
from seqlens.tasks.transduce.answer import Translation


@final
class Predictor:
    """A loaded run. `model` is a plain `nn.Module`, `task` holds codecs and settings, `record` is `run.json`."""

    def __init__(self, run: LoadedRun, *, device: torch.device | str = "cpu") -> None:
        self.path = run.path
        self.record = run.record
        self.task = run.task
        self.model = run.model.to(device)

    @overload
    def predict(self, inputs: str, *, batch_size: int = 64, **decoding: Any) -> Translation: ...
    @overload
    def predict(self, inputs: Sequence[str], *, batch_size: int = 64, **decoding: Any) -> list[Translation]: ...
    def predict(
        self, inputs: str | Sequence[str], *, batch_size: int = 64, **decoding: Any
    ) -> Translation | list[Translation]:
        """Answers one input, or a list for a list, in its order.

        Args:
            inputs: a text or texts; an empty one gets an empty answer.
            batch_size: inputs answered at a time; answers do not depend on it.
            decoding: settings of `DecodingConfig` that differ from the run's, such as `beam_width=1`.

        Raises:
            RequestError: an unknown setting, or an input that is no text.
        """
        texts = [inputs] if isinstance(inputs, str) else list(inputs)
        for number, text in enumerate(texts, start=1):
            if not isinstance(text, str):
                raise RequestError(f"Input {number} is {type(text).__name__}, expected text.")
        config = self._decoding(decoding)
        answers: list[Translation] = self.task.predict(self.model, texts, config, batch_size=batch_size)
        return answers[0] if isinstance(inputs, str) else answers

    def _decoding(self, changes: dict[str, Any]) -> DecodingConfig:
        if not changes:
            return self.task.config.decoding
        return parse_config(DecodingConfig, {**to_plain(self.task.config.decoding), **changes}, where="predict")


def load(run: str | Path, *, device: torch.device | str = "auto") -> Predictor:
    """Loads a run folder; `auto` takes a CUDA device where there is one.

    Raises:
        RequestError: there is no such run or device. WorkError: a file of it is damaged.
    """
    return Predictor(read_run(Path(run)), device=choose_device(device))
