"""Score a run that writes texts, with intervals and the strongest cheap baseline beside it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from seqlens.config import Overrides
from seqlens.errors import RequestError, WorkError
from seqlens.inference import load_transducer
from seqlens.inference.checks import check_at_least_one
from seqlens.inference.predictor import Predictor
from seqlens.inference.rerank import Reranker
from seqlens.metrics import Perplexity, Score
from seqlens.report.numbers import told_cut
from seqlens.tasks.transduce.analysis.training_text import Background
from seqlens.tasks.transduce.answer import Translation
from seqlens.tasks.transduce.baselines import baselines
from seqlens.tasks.transduce.validation import compute_score
from seqlens.workflows.analyse import analyse_answers
from seqlens.workflows.backgrounds import TrainingPart, find_backgrounds, read_training
from seqlens.workflows.evaluation_data import evaluation_command, open_evaluated, read_without_blanks, run_corpus
from seqlens.workflows.evaluation_files import (
    Evaluation,
    evaluation_folder,
    folder_of_its_own,
    origin_of,
    told_answering,
    write_analysis,
    write_evaluation,
)
from seqlens.workflows.forced import reference_log_probs
from seqlens.workflows.preparation import Announce
from seqlens.workflows.seen_before import seen_pairs


def evaluate_pairs(
    run: str | Path | Predictor,
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
) -> Evaluation:
    """Scores a run of the task `transduce`.

    Args:
        run: a run folder, or one that is loaded; several that were loaded together are scored as they answer together.
        split: a split of the run's own data: `test`, `validation`, or another that the data have.
        data: other data instead: a TSV or JSONL file, a folder, or a name of the catalogue (then its split `split`).
        data_settings: what differs from the run's own data in how these are read, such as `{"source_column": 2}`.
        tag: put before each input of other data, for a run trained with tags.
        decoding: settings of the search that differ from the run's, such as `{"beam_width": 1}`.
        batch_size: inputs answered at a time.
        workers: processes that answer side by side, as for `Predictor.predict`.
        reranker: puts the answers of the whole beam in an order of its own, as for `Predictor.predict`.
        write: write predictions and scores to `evaluation/` in the run folder.
        analyse: look beside the score too: at kinds of sentences, kinds of errors, and whether the search or the model
            is at fault. With `write` that makes `analysis.json` and `analysis.html`.
        announce: told, a sentence each, of what happens; `progress` of how many inputs are answered, and of how many.

    Raises:
        RequestError: no such run, split or data. WorkError: a file of the run is damaged.
    """
    announce = announce or (lambda text: None)
    predictor = run if isinstance(run, Predictor) else load_transducer(run)
    if analyse and (predictor.others or reranker is not None):
        raise RequestError("An analysis looks into one run: leave out the other runs, or the analysis.")
    check_at_least_one(batch_size=batch_size, workers=workers)
    corpus, split = open_evaluated(predictor, split, data, tag, data_settings)
    pairs, num_blank = read_without_blanks(corpus, split)
    if num_blank:
        announce(f"Pairs that are empty on both sides, as between documents, are left out: {num_blank:,}.")
    if not pairs or any(pair.target is None for pair in pairs):
        raise RequestError(f"{corpus.name} has no pairs with targets in its split '{split}', so nothing can be scored.")
    own_data = data is None
    # What is lacking or in doubt is told before the long work.
    training = _read_training(predictor, announce, required=own_data) if own_data or analyse else None
    known = [pair for part in training or () for pair in part.pairs]
    if not own_data and (seen := seen_pairs(predictor.path, pairs, None if training is None else known)):
        announce(seen)
    sources, references = [pair.source for pair in pairs], [pair.target or "" for pair in pairs]
    data_name = corpus.name if data is None else str(data)
    announce(f"Answering {len(pairs):,} {'input' if len(pairs) == 1 else 'inputs'} of {data_name}, split {split}.")
    answers = _answer(predictor, sources, batch_size, workers, reranker, decoding or {}, progress)
    if truncated := sum(answer.truncated for answer in answers):
        announce(told_cut(truncated, len(answers), "inputs"))
    task = predictor.task
    texts = [answer.text for answer in answers]
    lowercase = task.config.lowercase_scores
    tokens = task.config.bleu_tokens
    scores: dict[str, Score] = {
        name: compute_score(name, texts, references, lowercase=lowercase, tokens=tokens) for name in task.config.scores
    }
    log_probs = reference_log_probs(predictor, pairs, announce)
    scores["perplexity"] = _perplexity(log_probs)
    compared = baselines(sources, known if own_data else None)
    baseline_scores: dict[str, dict[str, Score]] = {
        baseline.name: {
            name: compute_score(name, baseline.answers, references, lowercase=lowercase, tokens=tokens)
            for name in task.config.scores
        }
        for baseline in compared
    }
    fingerprint = corpus.fingerprint(split)
    wanted = evaluation_folder(predictor, split, data, tag, reranked=reranker is not None)
    result = Evaluation(
        run=predictor.path,
        data=data_name,
        split=split,
        scores=scores,
        baseline_scores=baseline_scores,
        sources=tuple(sources),
        references=tuple(references),
        answers=tuple(answers),
        fingerprint=fingerprint,
        folder=None,
        reference_log_probs=tuple(sum(row) for row in log_probs),
        answered_by=told_answering(predictor, reranker),
    )
    if analyse:
        announce("Analysing the answers.")
        backgrounds = find_backgrounds(corpus, split, training, own_data=own_data)
        result = _analysed(result, predictor, log_probs, backgrounds, decoding or {})
    if write:
        origin = origin_of(result, predictor, data, reranker, data_settings)
        folder = folder_of_its_own(wanted, origin)
        result = replace(result, folder=folder)
        write_evaluation(result, folder, predictor, decoding or {}, origin)
        if result.analysis is not None:
            command = evaluation_command(
                predictor.path, split, data, tag=tag, data_settings=data_settings, decoding=decoding, analyse=True
            )
            write_analysis(result, result.analysis, folder, command)
    return result


def _analysed(
    result: Evaluation,
    predictor: Predictor,
    log_probs: Sequence[Sequence[float]],
    backgrounds: Sequence[Background],
    decoding: Mapping[str, object],
) -> Evaluation:
    analysis = analyse_answers(
        predictor,
        result.sources,
        result.references,
        result.answers,
        log_probs,
        search=predictor.search_settings(decoding),
        backgrounds=backgrounds,
    )
    return replace(result, analysis=analysis)


def _answer(
    predictor: Predictor,
    sources: Sequence[str],
    batch_size: int,
    workers: int,
    reranker: Reranker | None,
    decoding: Mapping[str, object],
    progress: Callable[[int, int], None] | None,
) -> list[Translation]:
    """Answers all inputs together, so that the batches do not depend on who is told of them, nor on the workers."""
    settings: dict[str, Any] = dict(decoding)
    done = 0

    def tell(more: int) -> None:
        nonlocal done
        done += more
        if progress is not None:
            progress(done, len(sources))

    answers = predictor.predict(
        sources, batch_size=batch_size, workers=workers, reranker=reranker, progress=tell, **settings
    )
    tell(len(sources) - done)  # empty ones are in no batch
    return answers


def _perplexity(log_probs: Sequence[Sequence[float]]) -> Score:
    """Perplexity a target token, `<end>` included, of the references under the model, with its interval."""
    metric = Perplexity()
    metric.add([-sum(row) for row in log_probs], [len(row) for row in log_probs])
    return metric.compute()


def _read_training(predictor: Predictor, announce: Announce, *, required: bool) -> list[TrainingPart] | None:
    """The pairs the run was trained on; other data can be looked at without them, and that is said."""
    try:
        return read_training(run_corpus(predictor))
    except (RequestError, WorkError) as error:  # nowhere on this machine, or not to be downloaded
        if required:
            raise
        announce(f"Rare words and omissions are left out, as the training data are not there: {error}")
        return None
