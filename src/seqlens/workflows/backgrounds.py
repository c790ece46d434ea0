"""What is known of each sentence that is analysed: its language, and the training pairs of its direction."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from typing import final

from seqlens.data.documents import is_blank
from seqlens.data.fractions import PartOfPairs, whole_of
from seqlens.data.mixture import pieces_of
from seqlens.data.splits import Corpus
from seqlens.data.splitting import TRAIN
from seqlens.tasks.transduce.analysis.training_text import Background, TrainingText


@final
@dataclass(frozen=True, slots=True)
class TrainingPart:
    """The training pairs of one part of a run's data; of data that are no mixture there is one part."""

    direction: tuple[str, ...]
    tag: str | None
    pairs: list[tuple[str, str]]


def read_training(corpus: Corpus) -> list[TrainingPart]:
    """Reads the training pairs, part by part. RequestError for faults in the files."""
    pieces = pieces_of(whole_of(corpus), TRAIN)
    found = [[(pair.source, pair.target or "") for pair in part.read(split)] for part, split in pieces]
    if isinstance(corpus, PartOfPairs):
        chosen = iter(corpus.chosen())
        found = [list(compress(pairs, chosen)) for pairs in found]
    return [TrainingPart(part.direction, part.tag, pairs) for (part, _), pairs in zip(pieces, found, strict=True)]


def find_backgrounds(
    corpus: Corpus,
    split: str,
    training: Sequence[TrainingPart] | None,
    *,
    own_data: bool,
    with_targets: bool = True,
) -> list[Background]:
    """The background of each pair of a split that is not empty on both sides, in their order.

    A sentence of a run's own data has that of its part's direction; of other data that of the training part with its
    tag, as that part says how they are read.

    Args:
        training: of the run; None where the pairs are not there.
        with_targets: learn a lexicon too, which takes time.
    """
    texts: dict[tuple[str, ...], TrainingText] = {}
    found: list[Background] = []
    for part, its_split in pieces_of(whole_of(corpus), split):
        direction = part.direction if own_data else _direction_of(training or (), part.tag)
        if training is not None and direction is not None and direction not in texts:
            texts[direction] = _read_direction(training, direction, with_targets=with_targets)
        text = None if direction is None else texts.get(direction)
        background = Background(part.corpus.source_name, text)
        found += [background] * sum(not is_blank(pair) for pair in part.corpus.read(its_split))
    return found


def _direction_of(training: Sequence[TrainingPart], tag: str | None) -> tuple[str, ...] | None:
    return next((part.direction for part in training if part.tag == tag), None)


def _read_direction(
    training: Sequence[TrainingPart], direction: tuple[str, ...], *, with_targets: bool
) -> TrainingText:
    pairs = [pair for part in training if part.direction == direction for pair in part.pairs]
    targets = [target for _, target in pairs] if with_targets else None
    return TrainingText.read([source for source, _ in pairs], targets)
