"""An analysis of answers: of plain texts alone, or with what a model knows of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from seqlens.errors import RequestError
from seqlens.metrics import Statistics, share_of
from seqlens.tasks.transduce.analysis.attribution import Searched, attribute
from seqlens.tasks.transduce.analysis.buckets import Bucket, By, make_buckets
from seqlens.tasks.transduce.analysis.clauses import CLAUSE_NOTE, count_clauses
from seqlens.tasks.transduce.analysis.errors import (
    DEFINITIONS,
    ERROR_NAMES,
    UNATTENDED,
    ErrorName,
    Finding,
    Sentence,
    find_errors,
)
from seqlens.tasks.transduce.analysis.results import Analysis, ErrorExample, ErrorRow, Grouping, ScoredBucket
from seqlens.tasks.transduce.analysis.statistics import bleu_tokenizer, text_statistics
from seqlens.tasks.transduce.analysis.training_text import Background, TrainingText
from seqlens.tasks.transduce.analysis.words import Token, split_tokens, words_of
from seqlens.tasks.transduce.config import BleuTokens, ScoreName

NUM_WORST = 5
_TITLES: dict[By, tuple[str, str, str]] = {
    "length": ("Score by source length", "words of the source", ""),
    "rarest": (
        "Score by the rarest word of the source",
        "count in training",
        "How often the rarest word of a source stands in the training sources.",
    ),
    "unknown": (
        "Score by unknown words in the source",
        "unknown words",
        "Words that stand in no training source, as plain words, whatever the codec makes of them.",
    ),
    "clauses": ("Score by clauses of the source", "clauses", CLAUSE_NOTE),
}
WORDS_NOTE = (
    "Words are plain words in small letters without punctuation, the same for every model; of scripts written without "
    "spaces (Han, kana, Thai, ...) characters."
)


@final
@dataclass(frozen=True, slots=True)
class ModelKnowledge:
    """What a model knows of its answers, for each sentence. A part that is not known is None.

    `attention`: the sum of weights each word or symbol of the source got, see `Sentence`. `dependence`: see
    `DEFINITIONS["hallucinated"]`. `searched` tells search errors from model errors.
    """

    attention: Sequence[Sequence[float] | None] | None = None
    dependence: Sequence[float | None] | None = None
    searched: Sequence[Searched] | None = None


def analyse_texts(
    sources: Sequence[str],
    references: Sequence[str],
    answers: Sequence[str],
    *,
    training_sources: Sequence[str] | None = None,
    training_targets: Sequence[str] | None = None,
    language: str = "",
    measures: Sequence[ScoreName] = ("bleu", "chrf"),
    lowercase: bool = False,
    bleu_tokens: BleuTokens = "auto",
    knowledge: ModelKnowledge | None = None,
) -> Analysis:
    """Analyses answers to sources beside their references; no model is needed.

    Args:
        sources, references, answers: line by line beside each other.
        training_sources: those of the training split, for rare and unknown words; `training_targets`, for omissions.
        language: the sources' language, for clauses: `en`, `de`, `fr`, `cs`; for others punctuation decides.
        measures: the scores of each bucket; `lowercase`: whether letters' case is left out of account; `bleu_tokens`:
            those of BLEU.
        knowledge: what a model knows of the answers.

    Raises:
        RequestError: there is nothing, or the lists are not of one length.
    """
    training = None if training_sources is None else TrainingText.read(training_sources, training_targets)
    return analyse_sentences(
        sources,
        references,
        answers,
        [Background(language, training)] * len(sources),
        measures=measures,
        lowercase=lowercase,
        bleu_tokens=bleu_tokens,
        knowledge=knowledge,
    )


def analyse_sentences(
    sources: Sequence[str],
    references: Sequence[str],
    answers: Sequence[str],
    backgrounds: Sequence[Background],
    *,
    measures: Sequence[ScoreName] = ("bleu", "chrf"),
    lowercase: bool = False,
    bleu_tokens: BleuTokens = "auto",
    knowledge: ModelKnowledge | None = None,
) -> Analysis:
    """As `analyse_texts`, for sentences of several directions: each is judged by its own background.

    Raises:
        RequestError: there is nothing, or the lists are not of one length.
    """
    if not len(sources) == len(references) == len(answers) or not sources:
        raise RequestError(
            f"There are {len(sources):,} sources, {len(references):,} references and {len(answers):,} answers; "
            f"expected as many of each, at least 1."
        )
    knowledge = knowledge or ModelKnowledge()
    tokenize = bleu_tokenizer(references, bleu_tokens)
    statistics = {
        name: text_statistics(name, answers, references, lowercase=lowercase, tokenize=tokenize) for name in measures
    }
    tokens = [split_tokens(source) for source in sources]
    groupings = tuple(
        score_buckets(by, buckets, statistics) for by, buckets in group_sources(tokens, backgrounds).items()
    )
    texts = list(zip(sources, references, answers, strict=True))
    searched = knowledge.searched
    notes = [WORDS_NOTE]
    if tokenize == "char":
        notes.append("BLEU is over characters here, as most letters of the references are of a script without spaces.")
    return Analysis(
        num_sentences=len(sources),
        language="+".join(dict.fromkeys(one.language for one in backgrounds if one.language)),
        overall={name: one.score() for name, one in statistics.items()},
        groupings=groupings,
        errors=_error_table(texts, tokens, backgrounds, knowledge),
        attribution=() if searched is None else (attribute(searched, "log_prob"), attribute(searched, "score")),
        notes=tuple(notes),
    )


def group_sources(tokens: Sequence[list[Token]], backgrounds: Sequence[Background]) -> dict[By, list[Bucket]]:
    """The buckets of every kind that can be made; those by training counts need the training split."""
    return {by: make_buckets(by, values) for by, values in source_numbers(tokens, backgrounds).items()}


def source_numbers(tokens: Sequence[list[Token]], backgrounds: Sequence[Background]) -> dict[By, list[int]]:
    """The number of each source by which sentences are sorted, for every kind of buckets that can be made."""
    found: dict[By, list[int]] = {"length": [len(words_of(one)) for one in tokens]}
    trained = [one.training for one in backgrounds if one.training is not None]
    if len(trained) == len(tokens):
        found["rarest"] = [training.rarest_count(one) for one, training in zip(tokens, trained, strict=True)]
        found["unknown"] = [training.num_unknown(one) for one, training in zip(tokens, trained, strict=True)]
    found["clauses"] = [count_clauses(one, its.language) for one, its in zip(tokens, backgrounds, strict=True)]
    return found


def score_buckets(by: By, buckets: Sequence[Bucket], statistics: dict[ScoreName, Statistics]) -> Grouping:
    """Every bucket with its scores."""
    title, unit, note = _TITLES[by]
    scored = [
        ScoredBucket(bucket, {name: one.select(bucket.rows).score() for name, one in statistics.items()})
        for bucket in buckets
    ]
    return Grouping(by, title, unit, note, tuple(scored))


def _error_table(
    texts: Sequence[tuple[str, str, str]],
    tokens: Sequence[list[Token]],
    backgrounds: Sequence[Background],
    knowledge: ModelKnowledge,
) -> tuple[ErrorRow, ...]:
    found: dict[ErrorName, list[tuple[int, Finding]]] = {name: [] for name in ERROR_NAMES}
    for row, (_, reference, answer) in enumerate(texts):
        sentence = Sentence(
            source=tokens[row],
            reference=split_tokens(reference),
            answer=split_tokens(answer),
            attention=None if knowledge.attention is None else knowledge.attention[row],
            dependence=None if knowledge.dependence is None else knowledge.dependence[row],
        )
        for name, finding in find_errors(sentence, backgrounds[row].training).items():
            found[name].append((row, finding))
    return tuple(_error_row(name, found[name], texts, backgrounds, knowledge) for name in ERROR_NAMES)


def _error_row(
    name: ErrorName,
    found: Sequence[tuple[int, Finding]],
    texts: Sequence[tuple[str, str, str]],
    backgrounds: Sequence[Background],
    knowledge: ModelKnowledge,
) -> ErrorRow:
    num_measured, method = _method(name, backgrounds, knowledge)
    # Ties are broken by the texts, so that the order of the sentences changes nothing.
    worst = sorted(found, key=lambda one: (-one[1].severity, texts[one[0]]))[:NUM_WORST]
    return ErrorRow(
        name=name,
        definition=DEFINITIONS[name],
        method=method,
        count=len(found),
        share=share_of(len(found), num_measured, name=name) if num_measured else None,
        rows=tuple(row for row, _ in found),
        worst=tuple(ErrorExample(row, *texts[row], finding.detail, finding.severity) for row, finding in worst),
    )


def _method(name: ErrorName, backgrounds: Sequence[Background], knowledge: ModelKnowledge) -> tuple[int, str]:
    """In how many sentences an error could be looked for, and with what."""
    everything = len(backgrounds)
    if name == "omitted":
        if any(one.training is None or one.training.lexicon is None for one in backgrounds):
            return 0, "not measured: it needs training pairs"
        if knowledge.attention is not None:
            return everything, f"training pairs, and attention on the word below {UNATTENDED:g} in all"
        return everything, "training pairs; attention was not asked: there is none, or it is spread out"
    if name == "hallucinated" and knowledge.dependence is None:
        return 0, "not measured: it needs the model"
    if name == "hallucinated":
        known = sum(dependence is not None for dependence in knowledge.dependence or ())
        if not known:
            return 0, "not measured: it needs an answer, and another source to compare with"
        left_out = everything - known
        return known, "the model" + (
            f"; {left_out:,} without an answer or another source are left out" if left_out else ""
        )
    if name == "copied" and any(one.training is None or not one.training.target_counts for one in backgrounds):
        return everything, "texts alone, so names that are the same in both languages count too"
    return everything, "texts"
