"""Whether the trials of a search can be compared by its metric."""

from collections.abc import Mapping, Sequence
from typing import Any

from seqlens.errors import RequestError
from seqlens.inference.run_folder import CODEC_FOLDER
from seqlens.training.run_config import RunConfig
from seqlens.workflows.search_space import Parameter

_BY_TOKENS = ("loss", "perplexity")
"""Means over tokens: a smaller vocabulary makes more of them, each easier to guess."""
_WRITING = ("transduce", "generate")
"""The tasks whose answers are made of tokens."""


def check_metric(config: RunConfig, space: Sequence[Parameter]) -> None:
    """Refuses to compare means over tokens where the search changes what a token is.

    Raises:
        RequestError: it does.
    """
    metric = config.training.metric
    if metric not in _BY_TOKENS or config.task.kind not in _WRITING:
        return
    for parameter in space:
        if parameter.path.startswith("task.codec.") and not parameter.path.startswith("task.codec.source."):
            raise RequestError(
                f"'{parameter.path}' changes what a token is, and 'training.metric' is '{metric}', a mean over tokens: "
                "such trainings cannot be compared by it; set 'training.metric' and 'training.mode' to a score of the "
                "texts that validation gives, such as chrf and max (bits_per_character and min for the task generate)."
            )


def incomparable(record: Mapping[str, Any], earlier: Mapping[str, Any], name: str, metric: str) -> str | None:
    """Why a run cannot be compared with the earlier one of that name, by their records; None if it can."""
    if record["data"]["fingerprints"]["validation"] != earlier["data"]["fingerprints"]["validation"]:
        return f"its validation data are not those of {name}, so the two cannot be compared."
    if metric in _BY_TOKENS and _predicting_codec(record) != _predicting_codec(earlier):
        return (
            f"its '{metric}' is a mean over other tokens than that of {name}, so the two cannot be compared; set "
            "'training.metric' and 'training.mode' to a score of the texts, such as chrf and max."
        )
    return None


def _predicting_codec(record: Mapping[str, Any]) -> dict[str, str]:
    """The digests of the files that say what a symbol of the answers is."""
    if record["kind"] not in _WRITING:
        return {}  # their losses are means over examples or words
    codecs = tuple(f"{CODEC_FOLDER}/{side}/" for side in ("shared", "target", "text"))
    return {name: digest for name, digest in record["files"].items() if name.startswith(codecs)}
