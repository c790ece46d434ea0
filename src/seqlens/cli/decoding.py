"""Settings of the search given by `--set`."""

from collections.abc import Sequence
from typing import Any

from seqlens.config import apply_overrides, parse_config, to_plain
from seqlens.decoding import DecodingConfig
from seqlens.inference import Predictor


def decoding_changes(predictor: Predictor, settings: Sequence[str]) -> dict[str, Any]:
    """What `--set beam_width=1` and the like change in the run's search.

    Raises:
        RequestError: there is no such setting, or its value is not as it must be.
    """
    changes = apply_overrides({}, settings)
    parse_config(DecodingConfig, {**to_plain(predictor.task.config.decoding), **changes}, where="--set")
    return changes
