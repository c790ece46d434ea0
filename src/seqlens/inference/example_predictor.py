"""A trained model of a task that learns from examples, as a person uses it: raw inputs in, typed answers out."""

from collections.abc import Iterable, Mapping
from typing import Any, final

import torch

from seqlens.errors import RequestError
from seqlens.inference.checks import check_at_least_one
from seqlens.inference.run_folder import LoadedExampleRun


@final
class ExamplePredictor:
    """A loaded run. `model` is a plain `nn.Module`, `task` holds codecs and labels, `record` is `run.json`."""

    def __init__(self, run: LoadedExampleRun, *, device: torch.device | str = "cpu") -> None:
        self.path = run.path
        self.record = run.record
        self.task = run.task
        self.model = run.model.to(device)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.model.parameters()).device

    def predict(self, inputs: Any, *, batch_size: int = 64, **settings: Any) -> Any:
        """Answers one input, or a list for a list (or what else can be gone through), in its order.

        Args:
            inputs: a text or texts, or what else the task reads.
            batch_size: inputs answered at a time; answers do not depend on it.
            settings: what the task can be told, such as `explain=True` for a classifier.

        Raises:
            RequestError: an unknown setting, or an input that is none.
        """
        check_at_least_one(batch_size=batch_size)
        several = isinstance(inputs, Iterable) and not isinstance(inputs, (str, bytes, Mapping))
        asked = list(inputs) if several else [inputs]
        for number, text in enumerate(asked, start=1):
            if isinstance(text, (bytes, int, float, list, Mapping)) or text is None:
                raise RequestError(f"Input {number} is {type(text).__name__}, expected text.")
        checked = self.task.read_settings(settings)
        answers = self.task.predict(self.model, asked, batch_size=batch_size, settings=checked)
        return answers if several else answers[0]
