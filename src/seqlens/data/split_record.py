"""What the audit keeps of a split: no sentences, but for each pair its line, three hashes, lengths and
scripts.
"""

from array import array
from collections.abc import Collection
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Literal, final

import numpy as np
from numpy.typing import NDArray

from seqlens.data.examples import Pair, Place
from seqlens.data.splitting import hash_sentence
from seqlens.data.text_faults import find_text_faults, script_of

Side = Literal["source", "target"]

LARGEST_DEVIATION = 5.0
_FEWEST_FOR_RATIO = 20
_SMALLEST_SPREAD = 0.3
_EMPTY = hash_sentence("")
_MIXER = 0x9E3779B97F4A7C15  # an odd number: multiplying by it maps 64 bits one to one


@dataclass(frozen=True, slots=True)
class LengthSummary:
    """How long the texts are: extremes, median and 95th percentile (an observed length); zeros without texts."""

    minimum: int
    median: float
    percentile_95: int
    maximum: int


@dataclass(frozen=True, slots=True)
class SideSummary:
    """The texts of one side of a split, in characters and in words between white space; `script` is the
    commonest.
    """

    name: str
    characters: LengthSummary
    words: LengthSummary
    script: str | None


@dataclass(slots=True)
class Hits:
    """How often something was found, and the first places."""

    count: int = 0
    places: list[Place] = field(default_factory=list)

    def add(self, place: Place, max_places: int) -> None:
        """Counts one more."""
        self.count += 1
        if len(self.places) < max_places:
            self.places.append(place)


@final
class SideRecord:
    """One side of the pairs of a split."""

    def __init__(self) -> None:
        self.hashes = array("Q")
        self.characters = array("I")
        self.words = array("I")
        self.scripts = array("H")
        self.script_names: list[str | None] = [None]

    def add(self, text: str) -> None:
        self.hashes.append(hash_sentence(text))
        self.characters.append(len(text))
        self.words.append(len(text.split()))
        script = script_of(text)
        if script not in self.script_names:
            self.script_names.append(script)
        self.scripts.append(self.script_names.index(script))

    def summarise(self, name: str) -> SideSummary:
        return SideSummary(name, _summarise(self.characters), _summarise(self.words), self.main_script()[0])

    def main_script(self) -> tuple[str | None, float]:
        """Returns the script of most texts, and its share of the texts that have one."""
        counts = np.bincount(np.asarray(self.scripts, dtype=np.int64), minlength=1)[1:]
        if not counts.sum():
            return None, 0.0
        return self.script_names[1 + int(counts.argmax())], float(counts.max() / counts.sum())


@final
class SplitRecord:
    """The pairs of a split, added one by one; the questions about them are answered by indices of pairs."""

    def __init__(self, max_places: int) -> None:
        self.max_places = max_places
        self._files: list[tuple[int, tuple[str, str]]] = []
        self.source = SideRecord()
        self.target = SideRecord()
        self.lines = array("Q")
        self.exact = array("Q")
        self.tags = array("Q")
        self.hits: dict[tuple[str, Side], Hits] = {}

    def __len__(self) -> int:
        return len(self.lines)

    def begin(self, files: tuple[str, str]) -> None:
        """Says where the pairs from here on are read from: the file of the sources, and that of the targets."""
        self._files.append((len(self), files))

    def add(self, pair: Pair, badly_decoded: Collection[Place] = (), tag: str | None = None) -> None:
        """Adds a pair; `badly_decoded` holds the places whose U+FFFD come from the reader, not from the text.

        With a `tag` its source is another input than the same text behind another tag.
        """
        target = pair.target or ""
        self.lines.append(pair.place.line if pair.place is not None else len(self.lines) + 1)
        self.tags.append(0 if tag is None else hash_sentence(tag))
        framed = f"{tag or ''} {len(pair.source)} {pair.source}{target}".encode()
        self.exact.append(int.from_bytes(blake2b(framed, digest_size=8).digest(), "big"))
        self.source.add(pair.source)
        self.target.add(target)
        self._add_faults("source", pair.source, badly_decoded)
        self._add_faults("target", target, badly_decoded)

    def place(self, index: int, side: Side = "source") -> Place:
        """Returns where a side of pair `index` was read."""
        number = index % len(self)
        files = next(files for first, files in reversed(self._files) if first <= number)
        return Place(files[side == "target"], self.lines[number])

    def repeated_pairs(self) -> NDArray[np.int64]:
        """Returns the pairs that are exactly equal to an earlier one."""
        exact = np.asarray(self.exact, dtype=np.uint64)
        _, first = np.unique(exact, return_index=True)
        repeated = np.ones(len(exact), dtype=bool)
        repeated[first] = False
        return np.flatnonzero(repeated)

    def ambiguous_sources(self) -> NDArray[np.int64]:
        """Returns, for every source sentence that has different targets, the first pair that has it."""
        held = np.flatnonzero(self.source_hashes != np.uint64(_EMPTY))
        inputs, targets = self.input_hashes[held], self.target_hashes[held]
        order = np.lexsort((targets, inputs))
        in_order, targets = inputs[order], targets[order]
        same_source = in_order[1:] == in_order[:-1]
        ambiguous = np.unique(in_order[1:][same_source & (targets[1:] != targets[:-1])])
        hashes, first = np.unique(inputs, return_index=True)
        return np.sort(held[first[np.isin(hashes, ambiguous)]])

    def equal_sides(self) -> NDArray[np.int64]:
        """Returns the pairs whose target is their source."""
        return np.flatnonzero((self.source_hashes == self.target_hashes) & (self.source_hashes != np.uint64(_EMPTY)))

    def leaks_from(self, other: "SplitRecord") -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Returns the pairs of this split that the other has too, and those of which it has the source only."""
        held = self.source_hashes != np.uint64(_EMPTY)
        source_leaks = np.isin(self.input_hashes, other.input_hashes) & held
        pair_leaks = np.isin(self.pair_hashes, other.pair_hashes) & held
        return np.flatnonzero(pair_leaks), np.flatnonzero(source_leaks & ~pair_leaks)

    def unlike_script(self, side: Side) -> NDArray[np.int64]:
        """Returns the pairs with another script on that side than four in five of the others; none if it is
        mixed.
        """
        record = self.source if side == "source" else self.target
        script, share = record.main_script()
        if share < 0.8:
            return np.empty(0, dtype=np.int64)
        codes = np.asarray(record.scripts, dtype=np.int64)
        return np.flatnonzero((codes != 0) & (codes != record.script_names.index(script)))

    def ratio_outliers(self) -> tuple[NDArray[np.int64], float]:
        """Returns the pairs whose lengths do not fit each other, the worst first, and the usual ratio of
        lengths.

        With source length s, target length t (characters) and c the median of t / s, Gale and Church (1993,
        "A Program for Aligning Sentences in Bilingual Corpora") take d = (t - c s) / sqrt(t + c s) as normal,
        up to a factor. A pair is an outlier where d is more than 5 robust standard deviations (1.4826 median
        absolute deviations, at least 0.3) from the median of d. Empty sides are left out.
        """
        sources = np.asarray(self.source.characters, dtype=np.float64)
        targets = np.asarray(self.target.characters, dtype=np.float64)
        filled = np.flatnonzero((sources > 0) & (targets > 0))
        if len(filled) < _FEWEST_FOR_RATIO:
            return np.empty(0, dtype=np.int64), 0.0
        sources, targets = sources[filled], targets[filled]
        ratio = float(np.median(targets / sources))
        difference = (targets - ratio * sources) / np.sqrt(targets + ratio * sources)
        distance = np.abs(difference - np.median(difference))
        deviations = distance / max(1.4826 * float(np.median(distance)), _SMALLEST_SPREAD)
        worst_first = np.argsort(-deviations, kind="stable")
        return filled[worst_first[deviations[worst_first] > LARGEST_DEVIATION]], ratio

    @property
    def source_hashes(self) -> NDArray[np.uint64]:
        return np.asarray(self.source.hashes, dtype=np.uint64)

    @property
    def target_hashes(self) -> NDArray[np.uint64]:
        return np.asarray(self.target.hashes, dtype=np.uint64)

    @property
    def input_hashes(self) -> NDArray[np.uint64]:
        """Of the sources with their tags."""
        return self.source_hashes ^ np.asarray(self.tags, dtype=np.uint64)

    @property
    def pair_hashes(self) -> NDArray[np.uint64]:
        return self.input_hashes * np.uint64(_MIXER) + self.target_hashes

    def _add_faults(self, side: Side, text: str, badly_decoded: Collection[Place]) -> None:
        kinds = find_text_faults(text)
        if badly_decoded and self.place(-1, side) in badly_decoded and "replacement-character" in kinds:
            kinds.remove("replacement-character")
        if not text.strip():
            kinds.append("empty-side")
        elif text != text.strip():
            kinds.append("outer-whitespace")
        for kind in kinds:
            self.hits.setdefault((kind, side), Hits()).add(self.place(-1, side), self.max_places)


def _summarise(lengths: "array[int]") -> LengthSummary:
    if not lengths:
        return LengthSummary(0, 0.0, 0, 0)
    values = np.asarray(lengths, dtype=np.int64)
    return LengthSummary(
        int(values.min()),
        float(np.median(values)),
        int(np.percentile(values, 95, method="inverted_cdf")),
        int(values.max()),
    )
