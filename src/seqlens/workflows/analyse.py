"""Analyse the answers of a run: the texts, and what its model knows of them."""

import hashlib
from collections.abc import Sequence

import torch

from seqlens.data.codecs.marks import MarkedText
from seqlens.data.text import UNKNOWN_ID
from seqlens.decoding import DecodingConfig
from seqlens.inference.predictor import Predictor
from seqlens.layers.precision import choose_search_precision
from seqlens.tasks.transduce.analysis import Analysis, ModelKnowledge, Searched
from seqlens.tasks.transduce.analysis.texts import analyse_sentences
from seqlens.tasks.transduce.analysis.training_text import Background
from seqlens.tasks.transduce.analysis.words import split_tokens
from seqlens.tasks.transduce.answer import Alignment, Translation
from seqlens.tasks.transduce.config import ScoreName
from seqlens.workflows.forced import forced_log_probs

_SHARP = 0.5
_ROUNDING = 0.05
"""Share of a log-probability that a search in bfloat16 or int8 may be wrong by."""


def analyse_answers(
    predictor: Predictor,
    sources: Sequence[str],
    references: Sequence[str],
    answers: Sequence[Translation],
    reference_log_probs: Sequence[Sequence[float]],
    *,
    search: DecodingConfig,
    backgrounds: Sequence[Background],
) -> Analysis:
    """Analyses a run's answers; two passes of forced decoding: the answers by their own source and by another one.

    `reference_log_probs` are those of the references' tokens, `search` is how the answers were found. Where
    the `backgrounds` have no training pairs, what needs them is left out.
    """
    config = predictor.task.config
    texts = [answer.text for answer in answers]
    own = forced_log_probs(predictor, sources, texts)
    measures: list[ScoreName] = [*config.scores]
    measures += [name for name in ("bleu", "chrf") if name not in measures]
    knowledge = ModelKnowledge(
        attention=_attention(predictor, sources, answers),
        dependence=_dependence(predictor, sources, texts, own),
        searched=_searched(predictor, sources, references, answers, own, reference_log_probs, search),
    )
    return analyse_sentences(
        sources,
        references,
        texts,
        backgrounds,
        measures=measures,
        bleu_tokens=config.bleu_tokens,
        lowercase=config.lowercase_scores,
        knowledge=knowledge,
    )


def other_sources(sources: Sequence[str]) -> list[str | None]:
    """For each source another one of like length and with the same tag: the next by length, then by SHA-256.

    It depends on the texts only, not on their order. None where all sources are the same.
    """
    groups: dict[str | None, set[str]] = {}
    for source in sources:
        groups.setdefault(_tag(source), set()).add(source)
    following: dict[tuple[str | None, str], str] = {}
    for tag, group in groups.items():
        ordered = sorted(group, key=lambda text: (len(text), hashlib.sha256(text.encode()).digest()))
        if len(ordered) > 1:
            following |= {(tag, text): after for text, after in zip(ordered, [*ordered[1:], ordered[0]])}
    return [following.get((_tag(source), source)) for source in sources]


def _tag(source: str) -> str | None:
    return source.tag if isinstance(source, MarkedText) else None


def _dependence(
    predictor: Predictor, sources: Sequence[str], texts: Sequence[str], own: Sequence[Sequence[float]]
) -> list[float | None]:
    others = other_sources(sources)
    asked = [
        row for row, (other, text) in enumerate(zip(others, texts)) if other and text.strip() and sources[row].strip()
    ]
    found: list[float | None] = [None] * len(sources)
    elsewhere = forced_log_probs(predictor, [others[row] or "" for row in asked], [texts[row] for row in asked])
    for row, log_probs in zip(asked, elsewhere, strict=True):
        found[row] = (sum(own[row]) - sum(log_probs)) / len(log_probs)
    return found


def _searched(
    predictor: Predictor,
    sources: Sequence[str],
    references: Sequence[str],
    answers: Sequence[Translation],
    own: Sequence[Sequence[float]],
    reference_log_probs: Sequence[Sequence[float]],
    search: DecodingConfig,
) -> list[Searched]:
    found = []
    limit = predictor.model.max_target_length
    precision = choose_search_precision(search.precision, predictor.model.output.weight.device)
    rounded = precision.int8 or precision.dtype != torch.float32
    for row, answer in enumerate(answers):
        reference_ids = predictor.task.encode_pair(sources[row], references[row])[1]
        answer_ids = predictor.task.encode_pair(sources[row], answer.text)[1]
        # An answer that ran into the limit on its length has no end; with one it can be compared. So can one of a
        # search that rounds, as references are scored in float32, unless its text would be cut into other symbols.
        as_found = answer.finished and not (
            rounded and _is_written_as(predictor, sources[row], answer, answer_ids, sum(own[row]))
        )
        log_prob = answer.log_prob if as_found else sum(own[row])
        score = answer.score if as_found else _score(own[row], search.length_penalty)
        found.append(
            Searched(
                log_prob=log_prob,
                score=score,
                reference_log_prob=float(sum(reference_log_probs[row])),
                reference_score=_score(reference_log_probs[row], search.length_penalty),
                is_reference=reference_ids == answer_ids,
                comparable=UNKNOWN_ID not in reference_ids
                and (limit is None or len(reference_ids) <= limit)
                and not answer.truncated
                and bool(sources[row].strip()),
            )
        )
    return found


def _is_written_as(predictor: Predictor, source: str, answer: Translation, ids: Sequence[int], log_prob: float) -> bool:
    """Whether an answer's symbols are these, of which the log-probability is this one.

    Where there is no attention, nobody knows the symbols; others are far less or far more probable.
    """
    if answer.alignment is None:
        return abs(answer.log_prob - log_prob) <= _ROUNDING * max(1.0, abs(log_prob))
    task = predictor.task
    unknown = task.unknown_words(source)
    tokens = tuple(task.target_codec.token(id, unknown) for id in ids)
    return answer.alignment.target_tokens in (tokens, tokens[:-1])


def _score(log_probs: Sequence[float], length_penalty: float) -> float:
    return float(sum(log_probs)) / float(len(log_probs)) ** length_penalty


def _attention(
    predictor: Predictor, sources: Sequence[str], answers: Sequence[Translation]
) -> list[list[float] | None] | None:
    """The sum of weights that each word or symbol of a source got, or None where there is no attention to believe.

    The mean of many heads is spread over the whole source, so that every word gets its share, omitted or not: it tells
    something only where a token's largest weight is half of all, on average.
    """
    alignments = [
        None if answer.alignment is None or not answer.alignment.weights.numel() else answer.alignment
        for answer in answers
    ]
    peaks = [alignment.weights.amax(dim=1) for alignment in alignments if alignment is not None]
    if not peaks or torch.cat(peaks).mean().item() < _SHARP:
        return None
    return [
        None if alignment is None else by_word(predictor, source, alignment, truncated=answer.truncated)
        for source, alignment, answer in zip(sources, alignments, answers, strict=True)
    ]


def by_word(predictor: Predictor, source: str, alignment: Alignment, *, truncated: bool) -> list[float]:
    """The sum of weights that each word or symbol of a source got; 0 for those that were cut off."""
    columns = alignment.weights.sum(dim=0).tolist()
    spans = predictor.task.source_codec.spans(source)
    # A tag and the sentences of context that the model read stand before the text itself, `<end>` behind it; before a
    # text that was cut there is no context.
    before = len(alignment.source_tokens) - 1 - len(spans)
    first = int(_tag(source) is not None) if truncated else max(0, before)
    attention = []
    for token in split_tokens(source):
        of_token = [
            weight
            for (start, end), weight in zip(spans, columns[first:-1])
            if max(start, token.start) < min(end, token.end)
        ]
        attention.append(float(sum(of_token)))
    return attention
