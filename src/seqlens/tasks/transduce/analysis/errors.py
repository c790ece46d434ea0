"""What is wrong with one answer, as far as texts, attention and log-probabilities tell."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from typing import Literal, final

from seqlens.tasks.transduce.analysis.training_text import TrainingText
from seqlens.tasks.transduce.analysis.words import Token, units_of, words_of

ErrorName = Literal["omitted", "repeated", "copied", "hallucinated", "too short", "too long"]
ERROR_NAMES: tuple[ErrorName, ...] = ("omitted", "repeated", "copied", "hallucinated", "too short", "too long")

LEAST_DEPENDENCE = 1.0
"""Natural logarithm a token: below, knowing the source makes a token less than e = 2.7 times as probable."""
UNATTENDED = 0.5
"""Sum of attention weights over the answer below which a source word was hardly looked at."""
_SHORT, _LONG, _LEAST_DIFFERENCE = 2 / 3, 3 / 2, 3
_LONGEST_LOOP = 4
_REPEATED_WORDS, _REPEATED_CHARACTERS = 3, 6

DEFINITIONS: dict[ErrorName, str] = {
    "omitted": (
        "a content word of the source has none of its translations (p ≥ 0.01 by IBM model 1 on the training pairs) in "
        "the answer, while the reference has one of its usual ones (p ≥ 0.2)"
    ),
    "repeated": (
        "one to four words twice in direct succession, or three words (six characters of a script without spaces) "
        "more than once in the answer, more often than in the reference"
    ),
    "copied": (
        "words of the source in the answer that the reference does not have, and that training targets have at most a "
        "tenth as often as training sources, or neither has"
    ),
    "hallucinated": (
        "(log p(answer | source) - log p(answer | another source)) / tokens of the answer is below "
        f"{LEAST_DEPENDENCE:g}: the answer hardly depends on the source"
    ),
    "too short": "at most 2/3 of the reference's words, and at least 3 fewer",
    "too long": "at least 3/2 of the reference's words, and at least 3 more",
}


@final
@dataclass(frozen=True, slots=True)
class Sentence:
    """A source, its reference and an answer, as tokens.

    `attention` is the sum of the attention weights that each token of the source got from the whole answer, where
    that is known; `dependence` the number of `DEFINITIONS["hallucinated"]`.
    """

    source: list[Token]
    reference: list[Token]
    answer: list[Token]
    attention: Sequence[float] | None = None
    dependence: float | None = None


@final
@dataclass(frozen=True, slots=True)
class Finding:
    """An error of a sentence: the larger `severity`, the worse; `detail` is shown beside it."""

    severity: float
    detail: str


def find_errors(sentence: Sentence, training: TrainingText | None) -> dict[ErrorName, Finding]:
    """The errors of a sentence. An answer with the reference's tokens has none."""
    if [token.text for token in sentence.answer] == [token.text for token in sentence.reference]:
        return {}
    found = {
        "omitted": _omitted(sentence, training),
        "repeated": _repeated(sentence),
        "copied": _copied(sentence, training),
        "hallucinated": _hallucinated(sentence),
        **_wrong_length(sentence),
    }
    return {name: finding for name in ERROR_NAMES if (finding := found.get(name)) is not None}


def _omitted(sentence: Sentence, training: TrainingText | None) -> Finding | None:
    if training is None or training.lexicon is None:
        return None
    answer, reference = set(words_of(sentence.answer)), set(words_of(sentence.reference))
    missing, num_checked = [], 0
    for place, token in enumerate(sentence.source):
        possible, expected = training.content_translations(token)
        if not expected & reference:
            continue
        num_checked += 1
        unattended = sentence.attention is None or sentence.attention[place] < UNATTENDED
        if not possible & answer and unattended:
            missing.append(token.text)
    return Finding(len(missing) + len(missing) / num_checked, ", ".join(missing)) if missing else None


def _repeated(sentence: Sentence) -> Finding | None:
    answer, reference = _repetitions(sentence.answer), _repetitions(sentence.reference)
    more = {text: count - reference[text] for text, count in answer.items() if count > reference[text]}
    if not more:
        return None
    worst = max(more, key=lambda text: (more[text], len(text), text))
    return Finding(float(sum(more.values())), f"{worst} (+{more[worst]})")


def _repetitions(tokens: list[Token]) -> Counter[str]:
    """How often each run of tokens stands there once more than it need: loops, and long runs that come again."""
    texts = [token.text for token in tokens]
    counts: Counter[str] = Counter()
    for size in range(1, _LONGEST_LOOP + 1):
        for place in range(len(texts) - 2 * size + 1):
            run = tokens[place : place + size]
            looped = texts[place : place + size] == texts[place + size : place + 2 * size]
            # One character twice is how many words are written; a whole word twice is a loop.
            if looped and any(token.is_word for token in run) and not (size < 3 and _of_characters(run)):
                counts[" ".join(texts[place : place + size])] += 1
    words = [token for token in tokens if token.is_word]
    size = _REPEATED_CHARACTERS if _of_characters(words) else _REPEATED_WORDS
    runs = Counter(" ".join(token.text for token in words[place : place + size]) for place in range(len(words)))
    for text, count in runs.items():
        if count > 1 and text.count(" ") == size - 1:
            counts[text] += count - 1
    return counts


def _of_characters(tokens: list[Token]) -> bool:
    return any(token.is_character for token in tokens)


def _copied(sentence: Sentence, training: TrainingText | None) -> Finding | None:
    answer, reference = units_of(sentence.answer), units_of(sentence.reference)
    source = set(units_of(sentence.source))
    copied = [
        unit
        for unit in dict.fromkeys(answer)
        if unit in source and unit not in reference and (training is None or training.is_copy(unit))
    ]
    return Finding(float(len(copied)), ", ".join(copied)) if copied else None


def _hallucinated(sentence: Sentence) -> Finding | None:
    if sentence.dependence is None or not sentence.answer or sentence.dependence >= LEAST_DEPENDENCE:
        return None
    return Finding(-sentence.dependence, f"{sentence.dependence:.2f} a token")


def _wrong_length(sentence: Sentence) -> dict[ErrorName, Finding]:
    length, expected = len(words_of(sentence.answer)), len(words_of(sentence.reference))
    if abs(length - expected) < _LEAST_DIFFERENCE:
        return {}
    finding = Finding(abs(log((1 + length) / (1 + expected))), f"{length} words for {expected}")
    if length <= _SHORT * expected:
        return {"too short": finding}
    return {"too long": finding} if length >= _LONG * expected else {}
