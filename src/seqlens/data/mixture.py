"""Several corpora in one: each seen as often as its weight says, its sources behind a tag of its own."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal, final

import numpy as np
from jaxtyping import Float64
from pydantic import Field

from seqlens.data.codecs.marks import MarkedText, tag_name
from seqlens.data.dates import DatesData
from seqlens.data.examples import Pair
from seqlens.data.fingerprints import fingerprint_pairs
from seqlens.data.pairs import PairsData
from seqlens.data.pronouns import PronounsData
from seqlens.data.splits import Corpus, unknown_split
from seqlens.data.splitting import TEST, TRAIN, VALIDATION
from seqlens.errors import RequestError, did_you_mean


@dataclass(frozen=True, slots=True)
class MixturePart:
    """A corpus of a mixture.

    `weight` is how often each of its training pairs is seen in an epoch: 3 is three times, 0.5 each second epoch.
    `tag`, such as `2fr` or `<2fr>`, is put before its sources as one symbol. `name` is that of its own splits
    (`test-NAME`); without one it is the tag, or `part1`. With `train_only`, all its pairs are for training.
    """

    data: Annotated[PairsData | DatesData | PronounsData, Field(discriminator="kind")]
    weight: Annotated[float, Field(gt=0, le=10_000, allow_inf_nan=False)] = 1.0
    tag: str | None = None
    name: str | None = None
    train_only: bool = False

    def __post_init__(self) -> None:
        if self.tag is not None:
            tag_name(self.tag)

    @property
    def tag_name(self) -> str | None:
        """The tag without brackets."""
        return None if self.tag is None else tag_name(self.tag)


@dataclass(frozen=True, slots=True)
class MixtureData:
    """Several corpora. `validation` names the part whose validation split is that of the mixture; null takes all."""

    parts: Annotated[tuple[MixturePart, ...], Field(min_length=1)]
    kind: Literal["mixture"] = "mixture"
    validation: str | None = None


@final
@dataclass(frozen=True, slots=True)
class PartCorpus:
    """An opened part."""

    name: str
    corpus: Corpus
    weight: float
    tag: str | None
    train_only: bool
    direction: tuple[str, ...] = ()
    """What tells one direction from another: both languages, or where they are not known the columns and keys."""

    def read(self, split: str) -> Iterator[Pair]:
        """The pairs of a split, behind the tag."""
        for pair in self.corpus.read(split):
            if self.tag is None:
                yield pair
            else:
                context = pair.source.context if isinstance(pair.source, MarkedText) else ()
                yield replace(pair, source=MarkedText(pair.source, tag=self.tag, context=context))


@final
@dataclass(frozen=True, slots=True)
class MixtureCorpus:
    """A mixture: a split has the pairs of all parts that have it, one after the other; `test-NAME` is one part's."""

    name: str
    source_name: str
    target_name: str
    parts: tuple[PartCorpus, ...]
    members: dict[str, tuple[tuple[PartCorpus, str], ...]]
    """For each split of the mixture, the parts it is made of and the split that is taken of each."""

    @classmethod
    def of(cls, parts: Sequence[PartCorpus], validation: str | None) -> "MixtureCorpus":
        """Puts opened parts together.

        Raises:
            RequestError: there is no part of the name `validation`, or it has no such split, or no part has one.
        """
        held_out = [part for part in parts if not part.train_only]
        members: dict[str, tuple[tuple[PartCorpus, str], ...]] = {TRAIN: tuple((part, TRAIN) for part in parts)}
        others = [split for part in held_out for split in part.corpus.splits if split not in (TRAIN, VALIDATION, TEST)]
        for split in dict.fromkeys((VALIDATION, TEST, *others)):
            wanted = held_out if split != VALIDATION or validation is None else [_find(parts, validation)]
            found = tuple((part, split) for part in wanted if split in part.corpus.splits and not part.train_only)
            if found:
                members[split] = found
        if VALIDATION not in members:
            chosen = "no part has a" if validation is None else f"the part '{validation}' has no"
            raise RequestError(
                f"The mixture has nothing to validate on: {chosen} validation split (one with 'train_only' has none)."
            )
        for part in held_out:
            members |= {f"{split}-{part.name}": ((part, split),) for split in part.corpus.splits if split != TRAIN}
        return cls(
            " + ".join(dict.fromkeys(part.corpus.name for part in parts)),
            "+".join(dict.fromkeys(part.corpus.source_name for part in parts)),
            "+".join(dict.fromkeys(part.corpus.target_name for part in parts)),
            tuple(parts),
            members,
        )

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(self.members)

    def read(self, split: str) -> Iterator[Pair]:
        if split not in self.members:
            raise unknown_split(split, f"The mixture of {self.name}", self.splits)
        return (pair for part, its_split in self.members[split] for pair in part.read(its_split))

    def fingerprint(self, split: str) -> str:
        return fingerprint_pairs(self.read(split))

    @property
    def context_sentences(self) -> int:
        return max(part.corpus.context_sentences for part in self.parts)

    def repeats(self) -> Float64[np.ndarray, "pairs"] | None:
        if all(part.weight == 1 for part in self.parts):
            return None
        return np.concatenate([np.full(sum(1 for _ in part.read(TRAIN)), part.weight) for part in self.parts])


def pieces_of(corpus: Corpus, split: str) -> list[tuple[PartCorpus, str]]:
    """The parts that a split is made of, in their order, and the split that is taken of each.

    A corpus that is no mixture is one part. RequestError for an unknown split.
    """
    if split not in corpus.splits:
        corpus.read(split)
    if isinstance(corpus, MixtureCorpus):
        return list(corpus.members[split])
    return [(PartCorpus(corpus.name, corpus, 1.0, None, train_only=False), split)]


def name_parts(config: MixtureData) -> list[str]:
    """The names of the parts.

    Raises:
        RequestError: two have the same.
    """
    names = [part.name or part.tag_name or f"part{number}" for number, part in enumerate(config.parts, start=1)]
    for number, name in enumerate(names, start=1):
        if (first := names.index(name) + 1) < number:
            raise RequestError(
                f"Parts {first} and {number} of the mixture are both called '{name}', expected different names: "
                "give one of them a 'name'."
            )
    return names


def _find(parts: Sequence[PartCorpus], name: str) -> PartCorpus:
    for part in parts:
        if part.name == name:
            return part
    names = [part.name for part in parts]
    raise RequestError(
        f"'validation' of the mixture is '{name}', expected the name of a part, one of {', '.join(names)}, or null for "
        f"all.{did_you_mean(name, names)}"
    )
