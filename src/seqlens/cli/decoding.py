"""What options ask of the search: settings, and a second opinion."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seqlens.cli.printing import warn
from seqlens.cli.tags import needed_tags
from seqlens.config import apply_overrides, parse_config, to_plain
from seqlens.decoding import DecodingConfig, unread_settings
from seqlens.errors import RequestError
from seqlens.inference import ExamplePredictor, Predictor, Reranker, ReversedRun, load_transducer


def decoding_changes(predictor: Predictor, settings: Sequence[str]) -> dict[str, Any]:
    """What `--set beam_width=1` and the like change in the run's search.

    Raises:
        RequestError: there is no such setting, or its value is not as it must be.
    """
    changes = apply_overrides({}, settings)
    config = parse_config(DecodingConfig, {**to_plain(predictor.task.config.decoding), **changes}, where="--set")
    for name in unread_settings(config, changes):
        also = " without diversity_groups" if name == "diversity_penalty" and config.method == "beam" else ""
        warn(f"'{name}' changes nothing{also}: the method of the search is {config.method}.")
    return changes


def warn_of_other_directions(predictor: Predictor) -> None:
    """Tells who has runs answer together that write other languages, by one vocabulary of both."""
    ours = predictor.record.get("data", {}).get("target")
    for other in predictor.others:
        theirs = other.record.get("data", {}).get("target")
        if theirs != ours:
            warn(f"{other.path} writes '{theirs}' and {predictor.path} '{ours}'; their answers are mixed.")


def set_apart(name: str, settings: Sequence[str]) -> tuple[list[str], list[str]]:
    """Of `--set` what is below `name`, without it, and the others."""
    below = [item.strip().removeprefix(f"{name}.") for item in settings if item.strip().startswith(f"{name}.")]
    return below, [item for item in settings if not item.strip().startswith(f"{name}.")]


def refuse_options(predictor: ExamplePredictor, given: Mapping[str, bool]) -> None:
    """Refuses options that only models have that write texts."""
    for option, is_given in given.items():
        if is_given:
            kind = predictor.record["kind"]
            raise RequestError(f"{option} is for runs of the task 'transduce', but {predictor.path} is of '{kind}'.")


def read_reranker(
    predictor: Predictor, run: Path | None, weight: float | None, tag: str | None, device: str
) -> Reranker | None:
    """What `--rerank-by`, `--rerank-weight` and `--rerank-tag` ask for.

    Raises:
        RequestError: a weight or a tag is given without a run, or there is no such run or tag.
    """
    if run is None:
        for option, given in (("--rerank-weight", weight), ("--rerank-tag", tag)):
            if given is not None:
                raise RequestError(f"{option} is given without --rerank-by, expected both: there is no other run.")
        return None
    other = load_transducer(run, device=device)
    ours, theirs = (each.record.get("data", {}) for each in (predictor, other))
    source, target = ours.get("source"), ours.get("target")
    if tag is None and source != target and (source, target) == (theirs.get("source"), theirs.get("target")):
        warn(f"{run} goes from {source} to {target} as {predictor.path} does; reranking is for the other direction.")
    if tag is None and (tags := needed_tags(other)):
        warn(f"All training data of {run} had a tag; give that of the way back by --rerank-tag: {', '.join(tags)}.")
    return Reranker(ReversedRun(other, tag=tag), 1.0 if weight is None else weight)
