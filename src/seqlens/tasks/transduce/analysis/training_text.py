"""What an analysis needs to know of the training split: how often each word stands in it, and which translate which."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from seqlens.errors import RequestError
from seqlens.tasks.transduce.analysis.lexicon import Lexicon
from seqlens.tasks.transduce.analysis.words import Token, split_tokens, units_of, words_of

_FEWEST_TO_TRANSLATE = 5
"""A source word must have been seen so often before its translations are believed."""
_COMMON_SHARE = 0.25
"""A word in more sentences than this is no content word: articles, prepositions, `to be`."""
EXPECTED_PROBABILITY = 0.2
_COPY_RATIO = 10


@final
@dataclass(frozen=True, slots=True, eq=False)
class TrainingText:
    """Counts of plain words in the training split; `lexicon` and the targets' counts only where targets are known.

    `source_units` and `target_units` count what `units_of` tells apart, which an answer may have copied.
    """

    source_counts: Counter[str]
    target_counts: Counter[str]
    source_units: Counter[str]
    target_units: Counter[str]
    common_sources: frozenset[str]
    common_targets: frozenset[str]
    lexicon: Lexicon | None

    @classmethod
    def read(cls, sources: Sequence[str], targets: Sequence[str] | None = None) -> "TrainingText":
        """Counts words; with targets, line by line beside the sources, a lexicon is learnt too.

        Raises:
            RequestError: the two sides do not have as many lines.
        """
        if targets is not None and len(targets) != len(sources):
            raise RequestError(
                f"There are {len(sources):,} training sources but {len(targets):,} training targets; expected as many."
            )
        source_tokens = [split_tokens(text) for text in sources]
        target_tokens = [split_tokens(text) for text in targets or ()]
        source_words, target_words = ([words_of(one) for one in side] for side in (source_tokens, target_tokens))
        return cls(
            source_counts=Counter(word for words in source_words for word in words),
            target_counts=Counter(word for words in target_words for word in words),
            source_units=Counter(unit for one in source_tokens for unit in units_of(one)),
            target_units=Counter(unit for one in target_tokens for unit in units_of(one)),
            common_sources=_common(source_words),
            common_targets=_common(target_words),
            lexicon=Lexicon.fit(source_words, target_words) if target_words else None,
        )

    def rarest_count(self, tokens: list[Token]) -> int:
        """How often the rarest word of a source stands in the training sources.

        A source without words has nothing rare: it counts as often as all words together.
        """
        words = words_of(tokens)
        if not words:
            return sum(self.source_counts.values())
        return min(self.source_counts[word] for word in words)

    def num_unknown(self, tokens: list[Token]) -> int:
        """How many words of a source stand in no training source."""
        return sum(self.source_counts[word] == 0 for word in words_of(tokens))

    def is_copy(self, unit: str) -> bool:
        """Whether one of `units_of` is of the source's language and not of the target's, or of neither."""
        return self.source_units[unit] >= _COPY_RATIO * self.target_units[unit]

    def content_translations(self, token: Token) -> tuple[frozenset[str], frozenset[str]]:
        """What an answer may have for a source word, and those of it that a reference surely has for it.

        Both are empty for words that are no content words or were seen too seldom.
        """
        word = token.text
        seldom = self.source_counts[word] < _FEWEST_TO_TRANSLATE
        if self.lexicon is None or seldom or not token.has_letter or word in self.common_sources:
            return frozenset(), frozenset()
        found = {
            target: probability
            for target, probability in self.lexicon.translations(word).items()
            if target not in self.common_targets
        }
        expected = frozenset(target for target, probability in found.items() if probability >= EXPECTED_PROBABILITY)
        return frozenset((*found, word)), expected


@final
@dataclass(frozen=True, slots=True, eq=False)
class Background:
    """What is known of a sentence's direction: the source's language, for clauses, and the training pairs."""

    language: str = ""
    """A code such as `de`, or any other word."""
    training: TrainingText | None = None


def _common(sentences: Sequence[Sequence[str]]) -> frozenset[str]:
    """Words of more than a quarter of the sentences; none where there are too few sentences to tell."""
    if len(sentences) < 1 / _COMMON_SHARE**2:
        return frozenset()
    counts = Counter(word for words in sentences for word in set(words))
    return frozenset(word for word, count in counts.items() if count > _COMMON_SHARE * len(sentences))
