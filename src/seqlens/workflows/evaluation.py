"""Score a run of any task."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from seqlens.config import Overrides
from seqlens.errors import RequestError
from seqlens.inference import ExamplePredictor, Predictor, Reranker, load
from seqlens.workflows.evaluate import evaluate_pairs
from seqlens.workflows.evaluate_examples import ExampleEvaluation, evaluate_examples
from seqlens.workflows.evaluation_files import Evaluation
from seqlens.workflows.preparation import Announce


def evaluate(
    run: str | Path | Sequence[str | Path] | Predictor | ExamplePredictor,
    *,
    split: str = "test",
    data: str | Path | None = None,
    data_settings: Overrides = (),
    tag: str | None = None,
    decoding: Mapping[str, object] | None = None,
    batch_size: int = 64,
    workers: int = 1,
    reranker: Reranker | None = None,
    write: bool = True,
    analyse: bool = False,
    announce: Announce | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation | ExampleEvaluation:
    """Scores a run.

    Args:
        run: a run folder, or one that is loaded; several that write texts are scored as they answer together.
        split: a split of the run's own data: `test`, `validation`, or another that the data have.
        data: other data instead: a file, a folder, or a name of the catalogue (then its split `split`).
        data_settings: what differs from the run's own data in how these are read, such as `{"text_column": 1}`.
        tag: put before each input of other data, for a run that writes texts and was trained with tags.
        decoding: settings of the search that differ from the run's, such as `{"beam_width": 1}`.
        batch_size: inputs answered at a time.
        workers: processes that answer side by side, as for `Predictor.predict`.
        reranker: puts the answers of a run that writes texts in an order of its own; see `evaluate_pairs`.
        write: write predictions and scores to `evaluation/` in the run folder.
        analyse: look beside the score too; see `evaluate_pairs`.
        announce: told, a sentence each, of what happens; `progress` of how many inputs are answered, and of how many.

    Raises:
        RequestError: no such run, split or data, or a search, workers or an analysis for a run that writes no texts.
        WorkError: a file of the run is damaged.
    """
    predictor = run if isinstance(run, Predictor | ExamplePredictor) else load(run)
    if isinstance(predictor, Predictor):
        return evaluate_pairs(
            predictor,
            split=split,
            data=data,
            data_settings=data_settings,
            tag=tag,
            decoding=decoding,
            batch_size=batch_size,
            workers=workers,
            reranker=reranker,
            write=write,
            analyse=analyse,
            announce=announce,
            progress=progress,
        )
    kind = predictor.record["kind"]
    refused = {
        "A search": bool(decoding),
        "Several workers": workers != 1,
        "A reranker": reranker is not None,
        "An analysis": analyse,
        "A tag": tag is not None,
    }
    for name, given in refused.items():
        if given:
            raise RequestError(f"{name} is for runs of the task 'transduce', but {predictor.path} is of '{kind}'.")
    return evaluate_examples(
        predictor,
        split=split,
        data=data,
        data_settings=data_settings,
        batch_size=batch_size,
        write=write,
        announce=announce,
        progress=progress,
    )
