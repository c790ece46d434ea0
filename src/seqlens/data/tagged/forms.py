"""Words as a tagger sees them: an id each, their letters, their affixes and their shape."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, final

import numpy as np
from jaxtyping import Int64
from pydantic import Field

from seqlens.config.files import read_json, write_json
from seqlens.errors import WorkError

FILE_NAME = "forms.json"
PADDING, UNKNOWN = 0, 1
"""The first two ids of every vocabulary in here."""
_DIGIT = re.compile(r"\d")
_RUNS = re.compile(r"(.)\1+")

Affix = Annotated[int, Field(ge=1, le=8)]


@dataclass(frozen=True, slots=True)
class FormsConfig:
    """What is known of a word.

    `lowercase` and `digits` (every digit is a 0) are for the words' own ids; letters and shapes see the word as it is.
    Words, affixes and shapes seen less often than `min_count` are unknown. `affixes` are the lengths of beginnings and
    ends. A word's `shape` is its case, digits and signs: `Xx` of `Harry`, `X0-X` of `G6-PD`. Of words with more than
    `max_letters` letters the middle ones are left out.
    """

    lowercase: bool = True
    digits: bool = True
    min_count: Annotated[int, Field(ge=1)] = 1
    affixes: tuple[Affix, ...] = (2, 3, 4)
    shape: bool = True
    max_letters: Annotated[int, Field(ge=4)] = 40


@final
@dataclass(frozen=True, slots=True, eq=False)
class FormsCodec:
    """The vocabularies of words, of letters, and of each feature (affixes, shape), in the order of their ids.

    Ids 0 and 1 are padding and unknown. `counts [words]` says how often each word was seen in training, 0 for words
    that only a file of vectors has.
    """

    config: FormsConfig
    words: dict[str, int]
    counts: Int64[np.ndarray, "words"]
    letters: dict[str, int]
    features: tuple[dict[str, int], ...]

    @classmethod
    def fit(cls, config: FormsConfig, words: Iterable[str], *, more: Iterable[str] = ()) -> "FormsCodec":
        """Counts the words of training; `more` are words that have an id without having been seen."""
        seen = Counter(words)
        kept = Counter[str]()
        for word, count in seen.items():
            kept[normalise(word, config)] += count
        frequent = [
            word for word in sorted(kept, key=lambda word: (-kept[word], word)) if kept[word] >= config.min_count
        ]
        others = [word for word in dict.fromkeys(more) if kept[word] < config.min_count]
        letters = Counter[str]()
        features = [Counter[str]() for _ in feature_names(config)]
        for word, count in seen.items():
            for letter in word:
                letters[letter] += count
            for values, value in zip(features, features_of(word, config), strict=True):
                values[value] += count
        return cls(
            config,
            {word: number for number, word in enumerate([*frequent, *others], 2)},
            np.array([0, 0, *(kept[word] for word in [*frequent, *others])], dtype=np.int64),
            _numbered(letters, 1),
            tuple(_numbered(values, config.min_count) for values in features),
        )

    @property
    def num_words(self) -> int:
        return len(self.words) + 2

    @property
    def num_letters(self) -> int:
        return len(self.letters) + 2

    @property
    def num_features(self) -> tuple[int, ...]:
        """How many ids each feature has."""
        return tuple(len(values) + 2 for values in self.features)

    def word_id(self, word: str) -> int:
        return self.words.get(normalise(word, self.config), UNKNOWN)

    def letter_ids(self, word: str) -> list[int]:
        """The ids of the word's letters, of the middle ones of a long word none."""
        limit = self.config.max_letters
        if len(word) > limit:
            word = word[: limit // 2] + word[-(limit - limit // 2) :]
        return [self.letters.get(letter, UNKNOWN) for letter in word]

    def feature_ids(self, word: str) -> list[int]:
        """The id of each feature."""
        found = features_of(word, self.config)
        return [ids.get(value, UNKNOWN) for ids, value in zip(self.features, found, strict=True)]

    def save(self, folder: Path) -> None:
        """Writes the vocabularies; the settings stand in the run's `task.yaml`."""
        content = {
            "words": list(self.words),
            "counts": self.counts[2:].tolist(),
            "letters": list(self.letters),
            "features": [list(values) for values in self.features],
        }
        write_json(folder / FILE_NAME, content)

    @classmethod
    def load(cls, config: FormsConfig, folder: Path) -> "FormsCodec":
        """Reads what `save` wrote.

        Raises:
            WorkError: the file is missing or damaged.
        """
        path = folder / FILE_NAME
        stored = read_json(path)
        try:
            words = _from_list(stored["words"])
            counts = np.array([0, 0, *stored["counts"]], dtype=np.int64)
            features = tuple(_from_list(values) for values in stored["features"])
            if len(counts) != len(words) + 2 or len(features) != len(feature_names(config)):
                raise ValueError("the lists are not equally long")
            return cls(config, words, counts, _from_list(stored["letters"]), features)
        except (KeyError, TypeError, ValueError) as error:
            raise WorkError(
                f"{path} is damaged: expected 'words', 'counts', 'letters' and 'features' that fit each other."
            ) from error


def normalise(word: str, config: FormsConfig) -> str:
    """The word as the vocabulary of words has it."""
    if config.lowercase:
        word = word.lower()
    return _DIGIT.sub("0", word) if config.digits else word


def feature_names(config: FormsConfig) -> list[str]:
    """What the features are called, in their order."""
    affixes = [f"{kind} {length}" for length in config.affixes for kind in ("prefix", "suffix")]
    return affixes + (["shape"] if config.shape else [])


def features_of(word: str, config: FormsConfig) -> list[str]:
    """The value of each feature: beginnings and ends in small letters, then the shape."""
    lowered = normalise(word, FormsConfig())
    values = [part for length in config.affixes for part in (lowered[:length], lowered[-length:])]
    return [*values, shape_of(word)] if config.shape else values


def shape_of(word: str) -> str:
    """Case, digits and signs, runs as one: `Xx` of `Harry`, `X0-X` of `G6-PD`."""
    kinds = "".join(
        "0" if sign.isdigit() else "X" if sign.isupper() or sign.istitle() else "x" if sign.isalpha() else sign
        for sign in word
    )
    return _RUNS.sub(r"\1", kinds)


def _numbered(counts: Counter[str], min_count: int) -> dict[str, int]:
    kept = sorted((value for value in counts if counts[value] >= min_count), key=lambda value: (-counts[value], value))
    return {value: number for number, value in enumerate(kept, 2)}


def _from_list(values: Any) -> dict[str, int]:
    found = {str(value): number for number, value in enumerate(list(values), 2)}
    if len(found) != len(values):
        raise ValueError("an entry is there twice")
    return found
