"""Score a run on a split or on a user's own data, with intervals and the strongest cheap baseline beside it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from seqlens.config import load_config, to_plain, write_atomically, write_json
from seqlens.data.corpus import Corpus, PairsData, open_corpus
from seqlens.data.download import cache_folder
from seqlens.data.encoded import cache_key, encode_pairs
from seqlens.data.sampler import length_batches
from seqlens.decoding import DecodingConfig
from seqlens.errors import RequestError
from seqlens.inference import describe_machine, load
from seqlens.inference.predictor import Predictor
from seqlens.metrics import Perplexity, Score
from seqlens.tasks.transduce.answer import Translation
from seqlens.tasks.transduce.baselines import baselines
from seqlens.tasks.transduce.validation import compute_score
from seqlens.training.run_config import RunConfig
from seqlens.workflows.preparation import Announce
from seqlens.workflows.train import RECIPE_FILE


@dataclass(frozen=True, slots=True)
class Evaluation(Mapping[str, Score]):
    """Scores by name, such as `evaluation["bleu"].value`; the baselines' scores; the answers, in the data's order."""

    run: Path
    data: str
    split: str
    scores: dict[str, Score]
    baseline_scores: dict[str, dict[str, Score]]
    sources: tuple[str, ...]
    references: tuple[str, ...]
    answers: tuple[Translation, ...]
    fingerprint: str
    folder: Path | None
    """Where answers and scores were written."""

    def __getitem__(self, name: str) -> Score:
        return self.scores[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.scores)

    def __len__(self) -> int:
        return len(self.scores)


def evaluate(
    run: str | Path | Predictor,
    *,
    split: str = "test",
    data: str | Path | None = None,
    decoding: Mapping[str, object] | None = None,
    batch_size: int = 64,
    write: bool = True,
    announce: Announce | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Scores a run.

    Args:
        run: a run folder, or one that is loaded.
        split: a split of the run's own data: `test`, `validation`, or another that the data have.
        data: other data instead: a TSV or JSONL file, a folder, or a name of the catalogue (then its split `split`).
        decoding: settings of the search that differ from the run's, such as `{"beam_width": 1}`.
        batch_size: inputs answered at a time.
        write: write predictions and scores to `evaluation/` in the run folder.
        announce: told, a sentence each, of what happens; `progress` of how many inputs are answered, and of how many.

    Raises:
        RequestError: no such run, split or data. WorkError: a file of the run is damaged.
    """
    announce = announce or (lambda text: None)
    predictor = run if isinstance(run, Predictor) else load(run)
    corpus, split = _open(predictor, split, data)
    pairs = [(pair.source, pair.target) for pair in corpus.read(split)]
    if not pairs or any(target is None for _, target in pairs):
        raise RequestError(f"{corpus.name} has no pairs with targets in its split '{split}', so nothing can be scored.")
    sources, references = [source for source, _ in pairs], [target or "" for _, target in pairs]
    data_name = corpus.name if data is None else str(data)
    announce(f"Answering {len(pairs):,} {'input' if len(pairs) == 1 else 'inputs'} of {data_name}, split {split}.")
    answers = _answer(predictor, sources, batch_size, decoding or {}, progress)
    if truncated := sum(answer.truncated for answer in answers):
        announce(f"{truncated:,} of the inputs are longer than the model's positions reach, and were cut there.")
    task = predictor.task
    texts = [answer.text for answer in answers]
    lowercase = task.config.lowercase_scores
    scores: dict[str, Score] = {
        name: compute_score(name, texts, references, lowercase=lowercase) for name in task.config.scores
    }
    scores["perplexity"] = perplexity(predictor, corpus, split)
    own_data = data is None
    compared = baselines(sources, _training_pairs(predictor) if own_data else None)
    baseline_scores: dict[str, dict[str, Score]] = {
        baseline.name: {
            name: compute_score(name, baseline.answers, references, lowercase=lowercase) for name in task.config.scores
        }
        for baseline in compared
    }
    folder = predictor.path / "evaluation" / (split if own_data else f"{Path(str(data)).name}-{split}")
    result = Evaluation(
        run=predictor.path,
        data=data_name,
        split=split,
        scores=scores,
        baseline_scores=baseline_scores,
        sources=tuple(sources),
        references=tuple(references),
        answers=tuple(answers),
        fingerprint=corpus.fingerprint(split),
        folder=folder if write else None,
    )
    if write:
        _write(result, folder, predictor, decoding or {})
    return result


def _answer(
    predictor: Predictor,
    sources: Sequence[str],
    batch_size: int,
    decoding: Mapping[str, object],
    progress: Callable[[int, int], None] | None,
) -> list[Translation]:
    """Answers some batches at a time, so that a person sees it go on."""
    at_once = len(sources) if progress is None else 8 * batch_size
    answers: list[Translation] = []
    for first in range(0, len(sources), at_once):
        answers += predictor.predict(sources[first : first + at_once], batch_size=batch_size, **decoding)
        if progress is not None:
            progress(len(answers), len(sources))
    return answers


def perplexity(predictor: Predictor, corpus: Corpus, split: str) -> Score:
    """Perplexity a target token, `<end>` included, of the references under the model, with its interval."""
    task, model = predictor.task, predictor.model
    encoded = encode_pairs(
        corpus.read(split),
        task.source_codec,
        task.target_codec,
        folder=cache_folder() / "encoded",
        key=cache_key(corpus.fingerprint(split), task.source_codec.fingerprint, task.target_codec.fingerprint),
    )
    metric = Perplexity()
    device = model.output.weight.device
    for indices in length_batches(encoded.lengths, 4096):
        batch = encoded.batch(indices)
        batch = task.fit_positions(model, batch).to(device)
        rows = task.token_log_probs(model, batch)
        metric.add([-sum(row) for row in rows], [len(row) for row in rows])
    return metric.compute()


def _open(predictor: Predictor, split: str, data: str | Path | None) -> tuple[Corpus, str]:
    recipe_path = predictor.path / RECIPE_FILE
    config = load_config(RunConfig, recipe_path)
    if data is None:
        corpus = open_corpus(config.data, base=predictor.path)
        if split not in corpus.splits:
            corpus.read(split)
        return corpus, split
    own = config.data if isinstance(config.data, PairsData) else PairsData()
    path = Path(data)
    if path.is_file():
        corpus = open_corpus(_like(own, test=str(path.resolve())), base=Path(), require_train=False)
        return corpus, "test"
    corpus = open_corpus(_like(own, path=str(data)), base=Path(), require_train=False)
    if split not in corpus.splits:
        corpus.read(split)
    return corpus, split


def _like(own: PairsData, *, path: str | None = None, test: str | None = None) -> PairsData:
    """Data read as the run's own were: the same columns, keys and languages."""
    return PairsData(
        path=path,
        test=test,
        source=own.source,
        target=own.target,
        source_column=own.source_column,
        target_column=own.target_column,
        source_key=own.source_key,
        target_key=own.target_key,
    )


def _training_pairs(predictor: Predictor) -> list[tuple[str, str]]:
    config = load_config(RunConfig, predictor.path / RECIPE_FILE)
    corpus = open_corpus(config.data, base=predictor.path)
    return [(pair.source, pair.target or "") for pair in corpus.read("train")]


def _write(result: Evaluation, folder: Path, predictor: Predictor, decoding: Mapping[str, object]) -> None:
    def lines(texts: Sequence[str]) -> str:
        # A line break inside an answer would shift all lines after it.
        return "".join(text.replace("\r", " ").replace("\n", " ") + "\n" for text in texts)

    write_atomically(folder / "predictions.txt", lines([answer.text for answer in result.answers]))
    write_atomically(folder / "references.txt", lines(result.references))
    write_json(
        folder / "scores.json",
        {
            "scores": {name: score_fields(score) for name, score in result.scores.items()},
            "baselines": {
                baseline: {name: score_fields(score) for name, score in scores.items()}
                for baseline, scores in result.baseline_scores.items()
            },
            "data": result.data,
            "split": result.split,
            "fingerprint": result.fingerprint,
            "decoding": _decoding_fields(predictor, decoding),
            "seed": predictor.record.get("seed"),
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": describe_machine(),
        },
    )


def score_fields(score: Score) -> dict[str, Any]:
    """A score as JSON can hold it."""
    return {
        "value": score.value,
        "low": score.low,
        "high": score.high,
        "signature": score.signature,
        "num_examples": score.num_examples,
    }


def _decoding_fields(predictor: Predictor, changes: Mapping[str, object]) -> dict[str, object]:
    config: DecodingConfig = predictor.task.config.decoding
    return {**to_plain(config), **changes}
