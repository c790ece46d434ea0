"""The two models of subwords: what they store, and how they cut a run of known characters into pieces."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, final

from seqlens.data.codecs.storage import StoredCodec


class SubwordModel(ABC):
    """Pieces of text and a rule that cuts any run of the alphabet's characters into them.

    The library's models work on the run alone: no white space is touched and no special token is known to
    them.
    """

    def __init__(self, alphabet: Sequence[str], pieces: Sequence[str], rule: Any) -> None:
        self.alphabet = frozenset(alphabet)
        self.pieces = tuple(pieces)
        self._rule = rule

    @abstractmethod
    def content(self) -> Mapping[str, Any]:
        """Returns the model as JSON values, with the name of its algorithm."""

    @abstractmethod
    def with_characters(self, characters: Sequence[str]) -> "SubwordModel":
        """Returns the model with further characters, each a piece of its own."""

    @final
    def cut(self, run: str) -> list[int]:
        """Returns the indices of the run's pieces; every character of the run is of the alphabet."""
        return [token.id for token in self._rule.tokenize(run)]


@final
class BpeModel(SubwordModel):
    """Byte-pair encoding over characters: neighbours merge in the order in which that was learnt."""

    def __init__(self, alphabet: Sequence[str], merges: Sequence[tuple[str, str]]) -> None:
        from tokenizers.models import BPE

        self._alphabet_in_order = list(alphabet)
        self._merges = list(merges)
        # Two merges may make the same piece, which has one id.
        pieces = list(dict.fromkeys([*alphabet, *(left + right for left, right in merges)]))
        rule = BPE(vocab={piece: index for index, piece in enumerate(pieces)}, merges=self._merges)
        super().__init__(alphabet, pieces, rule)

    def with_characters(self, characters: Sequence[str]) -> "BpeModel":
        """Returns the model with further characters, which nothing merges with."""
        return BpeModel([*self._alphabet_in_order, *characters], self._merges)

    @property
    def alphabet_in_order(self) -> tuple[str, ...]:
        """The characters in the order of their indices."""
        return tuple(self._alphabet_in_order)

    @property
    def merges(self) -> tuple[tuple[str, str], ...]:
        """The pairs that merge, in the order in which that was learnt."""
        return tuple(self._merges)

    def content(self) -> Mapping[str, Any]:
        """Returns the alphabet and the merges."""
        merges = [list(merge) for merge in self._merges]
        return {"algorithm": "bpe", "alphabet": self._alphabet_in_order, "merges": merges}


@final
class UnigramModel(SubwordModel):
    """A unigram language model: the likeliest of all ways to cut a run."""

    def __init__(self, scores: Sequence[tuple[str, float]]) -> None:
        """Takes pieces and their log probabilities; the single characters among them are the alphabet."""
        from tokenizers.models import Unigram

        self._scores = list(scores)
        pieces = [piece for piece, _ in scores]
        super().__init__([piece for piece in pieces if len(piece) == 1], pieces, Unigram(self._scores))

    def with_characters(self, characters: Sequence[str]) -> "UnigramModel":
        """Returns the model with further characters, each as likely as its unlikeliest piece."""
        lowest = min(score for _, score in self._scores)
        return UnigramModel([*self._scores, *((character, lowest) for character in characters)])

    def content(self) -> Mapping[str, Any]:
        """Returns the pieces with their scores."""
        return {"algorithm": "unigram", "scores": [list(entry) for entry in self._scores]}


def restore_model(stored: StoredCodec) -> SubwordModel:
    """Makes a model of what `content` returned.

    Raises:
        WorkError: the content is damaged.
    """
    match stored.get("algorithm", str):
        case "bpe":
            return _restore_bpe(stored)
        case "unigram":
            return _restore_unigram(stored)
        case other:
            raise stored.fault(f"'algorithm' is '{other}', expected 'bpe' or 'unigram'")


def _restore_bpe(stored: StoredCodec) -> BpeModel:
    alphabet = stored.characters("alphabet")
    known = set(alphabet)
    merges: list[tuple[str, str]] = []
    for place, value in enumerate(stored.get("merges", list)):
        match value:
            case [str(left), str(right)] if left in known and right in known:
                merges.append((left, right))
                known.add(left + right)
            case _:
                raise stored.fault(f"'merges' entry {place} is {value!r}, expected two pieces that are known by then")
    stored.check_unique("merges", merges)
    return BpeModel(alphabet, merges)


def _restore_unigram(stored: StoredCodec) -> UnigramModel:
    scores: list[tuple[str, float]] = []
    for place, value in enumerate(stored.filled_list("scores")):
        match value:
            case [str(piece), float(score)] if piece:
                scores.append((piece, score))
            case _:
                raise stored.fault(f"'scores' entry {place} is {value!r}, expected a piece and a number")
    stored.check_unique("scores", [piece for piece, _ in scores])
    alphabet = {piece for piece, _ in scores if len(piece) == 1}
    for piece, _ in scores:
        if not alphabet.issuperset(piece):
            raise stored.fault(f"'scores' holds {piece!r}, but not all of its characters")
    return UnigramModel(scores)
