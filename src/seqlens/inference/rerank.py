"""Reranking: of the best answers of a search, the one that another model likes as well."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, final, runtime_checkable

import numpy as np

from seqlens.data.batch import PairBatch, pad
from seqlens.data.codecs.marks import tag_name, with_tag
from seqlens.data.sampler import length_batches
from seqlens.decoding import DecodingConfig
from seqlens.errors import RequestError, WorkError
from seqlens.metrics import corpus_bleu
from seqlens.tasks.transduce.analysis.statistics import bleu_tokenizer
from seqlens.tasks.transduce.answer import Translation

if TYPE_CHECKING:
    from seqlens.inference.predictor import Predictor

_MAX_TOKENS = 4096
WEIGHTS = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0)


class TextScore(NamedTuple):
    """The natural log-probability of a text, and the number of tokens it is the sum over."""

    log_prob: float
    num_tokens: int


@runtime_checkable
class Scorer(Protocol):
    """A second opinion on answers. A language model is one that gives `log p(answer)` and does not look at sources."""

    def score(self, sources: Sequence[str], answers: Sequence[str]) -> list[TextScore]:
        """How good each answer is for the source beside it; higher is better."""
        ...


@final
class ReversedRun:
    """Scores an answer by how probable its source is: `log p(source | answer)` under a run of the other direction."""

    def __init__(self, predictor: "Predictor", *, tag: str | None = None) -> None:
        """Takes a loaded run that was trained from the answers' language to the sources'.

        `tag` is put before each answer that it reads, for a run that was trained with tags.

        Raises:
            RequestError: it is several runs together, or it has no such tag.
        """
        if predictor.others:
            raise RequestError("Reranking asks one run, but several were loaded together; give one of them.")
        self.path = predictor.path
        self._task, self._model = predictor.task, predictor.model
        self.tag = tag
        if tag is not None:
            with_tag((), tag, predictor.tags)  # refuses one that the run does not have

    def score(self, sources: Sequence[str], answers: Sequence[str]) -> list[TextScore]:
        """Scores pairs in batches of like length; what lies beyond the model's positions does not count."""
        if self.tag is not None:
            answers = with_tag(answers, self.tag, self._task.source_codec.tags)
        # Marks of a source, such as a tag, are no part of what the other direction writes.
        pairs = [self._task.encode_pair(answer, str(source)) for source, answer in zip(sources, answers, strict=True)]
        scores = [TextScore(0.0, 1)] * len(pairs)
        lengths = np.array([(len(source), len(target)) for source, target in pairs], dtype=np.int64).reshape(-1, 2)
        for numbers in length_batches(lengths, _MAX_TOKENS):
            chosen = [pairs[number] for number in numbers]
            batch = PairBatch(
                pad([source for source, _ in chosen]), pad([target for _, target in chosen]), tuple(numbers.tolist())
            )
            batch = self._task.fit_positions(self._model, batch).to(self._model.output.weight.device)
            for number, row in zip(numbers.tolist(), self._task.token_log_probs(self._model, batch), strict=True):
                scores[number] = TextScore(sum(row), len(row))
        return scores


@final
@dataclass(frozen=True, slots=True)
class Reranker:
    """Orders n-best lists by `score + weight * log_prob / num_tokens ** length_penalty`.

    The scorer's log-probability has the length penalty of the search that gave `score`. Without a penalty that is
    `log p(answer | source) + weight * log p(source | answer)` for a reversed run (Li et al. 2016, section 4.2).
    """

    scorer: Scorer
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not math.isfinite(self.weight) or self.weight < 0:
            raise RequestError(f"The weight of reranking is {self.weight}, expected a number of 0 or more.")

    def describe(self) -> dict[str, object]:
        """Who has the second opinion, and what it counts, as JSON values."""
        path = getattr(self.scorer, "path", None)
        by = type(self.scorer).__name__ if path is None else str(Path(path).resolve())
        tag = getattr(self.scorer, "tag", None)
        return {"by": by, "weight": self.weight, **({} if tag is None else {"tag": tag_name(tag)})}

    def rerank(
        self, sources: Sequence[str], answers: Sequence[Translation], *, length_penalty: float = 1.0
    ) -> list[Translation]:
        """The answers with the best of their list first and new scores; what did not end by itself stays last.

        Equal ones keep their order. An answer without alternatives, and all with weight 0, come back as they are.
        """
        if self.weight == 0:
            return list(answers)
        return _ordered(answers, _opinions(self.scorer, sources, answers), self.weight, length_penalty)


@final
@dataclass(frozen=True, slots=True)
class TunedWeight:
    """The best weight, and the BLEU of each one that was tried."""

    weight: float
    scores: Mapping[float, float]


def tune_weight(
    predictor: "Predictor",
    scorer: Scorer,
    sources: Sequence[str],
    references: Sequence[str],
    *,
    weights: Sequence[float] = WEIGHTS,
    batch_size: int = 64,
    tag: str | None = None,
    **decoding: Any,
) -> TunedWeight:
    """The weight with which reranked answers have the best BLEU; give it a validation split, never the test.

    The search and the scorer run once. Of weights that score alike the first is taken. Case counts as it does in the
    run's own scores, and BLEU's tokens are theirs; `tag` is put before each source, and `decoding` are settings of the
    search, as `predict` has them.

    Raises:
        RequestError: there is nothing to score or to choose from, or a setting is wrong.
    """
    if not sources or len(sources) != len(references):
        raise RequestError(
            f"There are {len(sources)} sources and {len(references)} references, expected one reference a source."
        )
    if not weights:
        raise RequestError("'weights' is empty, expected at least one to choose from.")
    chosen = [Reranker(scorer, weight).weight for weight in weights]
    config = widened(predictor.search_settings(decoding))
    answers = predictor.predict(
        list(sources), batch_size=batch_size, tag=tag, align=False, **{**decoding, "num_best": config.num_best}
    )
    opinions = _opinions(scorer, sources, answers)
    own = predictor.task.config
    tokenize = bleu_tokenizer(references, own.bleu_tokens)
    scores = {}
    for weight in chosen:
        texts = [answer.text for answer in _ordered(answers, opinions, weight, config.length_penalty)]
        scores[weight] = corpus_bleu(
            texts, references, lowercase=own.lowercase_scores, tokenize=tokenize, num_resamples=0
        ).value
    return TunedWeight(max(scores, key=lambda weight: scores[weight]), scores)


def widened(config: DecodingConfig) -> DecodingConfig:
    """The search whose answers are reranked: it gives the whole beam.

    Raises:
        RequestError: it finds one answer only.
    """
    if config.method == "greedy":
        raise RequestError(
            "Greedy search finds one answer, so there is nothing to rerank; use beam search or sampling."
        )
    name, count = ("beam_width", config.beam_width) if config.method == "beam" else ("num_best", config.num_best)
    if count == 1:
        raise RequestError(f"'{name}' is 1, so there is nothing to rerank, expected 2 or more.")
    return replace(config, num_best=count)


def _candidates(answer: Translation) -> list[Translation]:
    return [replace(answer, alternatives=()), *answer.alternatives]


def _opinions(scorer: Scorer, sources: Sequence[str], answers: Sequence[Translation]) -> list[list[TextScore]]:
    """Of every answer that has alternatives, the scores of all; one call, so that batches fill."""
    several = [number for number, answer in enumerate(answers) if answer.alternatives]
    asked = [(sources[number], one.text) for number in several for one in _candidates(answers[number])]
    scores = scorer.score([source for source, _ in asked], [text for _, text in asked])
    if len(scores) != len(asked):
        raise RequestError(
            f"{type(scorer).__name__} gave {len(scores)} scores for {len(asked)} pairs, expected as many."
        )
    for (source, text), score in zip(asked, scores, strict=True):
        if math.isnan(score.log_prob) or score.log_prob == math.inf:
            raise WorkError(
                f"{type(scorer).__name__} gave the log-probability {score.log_prob} for the answer '{text}' to "
                f"'{source}', expected a number; the weights of its model may be damaged."
            )
    found = iter(scores)
    opinions: list[list[TextScore]] = [[] for _ in answers]
    for number in several:
        opinions[number] = [next(found) for _ in range(1 + len(answers[number].alternatives))]
    return opinions


def _ordered(
    answers: Sequence[Translation], opinions: Sequence[Sequence[TextScore]], weight: float, length_penalty: float
) -> list[Translation]:
    ordered = []
    for answer, scores in zip(answers, opinions, strict=True):
        if not scores or weight == 0:
            ordered.append(answer)
            continue
        rescored = [
            replace(one, score=one.score + weight * score.log_prob / max(score.num_tokens, 1) ** length_penalty)
            for one, score in zip(_candidates(answer), scores, strict=True)
        ]
        best, *rest = sorted(rescored, key=lambda one: (not one.finished, -one.score))
        ordered.append(replace(best, alternatives=tuple(rest)))
    return ordered
