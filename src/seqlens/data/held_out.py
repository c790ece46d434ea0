"""Whether a training reads what is held out: by another part of a mixture, or after another run that it starts from."""

import os
from collections.abc import Iterable, Iterator
from itertools import permutations

from seqlens.data.examples import Pair
from seqlens.data.fractions import whole_of
from seqlens.data.mixture import MixtureCorpus, PartCorpus
from seqlens.data.pair_files import JsonlFile, PairFiles, TextFiles, TsvFile, file_names
from seqlens.data.pairs import PairsCorpus, SplitSource
from seqlens.data.splits import Corpus
from seqlens.data.splitting import TRAIN
from seqlens.errors import RequestError


def check_held_out(corpus: Corpus) -> None:
    """Refuses a mixture of which one part trains on lines that another one holds out.

    Either both read the same files and split them by different rules, such as one of each direction, or the files that
    one trains on are those of another split of the other.

    Raises:
        RequestError: there are such parts.
    """
    corpus = whole_of(corpus)
    parts = corpus.parts if isinstance(corpus, MixtureCorpus) else ()
    for one, other in permutations(parts, 2):
        for split, trained, held_out in _files_of_both(one, other):
            shared = _places(trained.files) & _places(held_out.files)
            if not shared or (_how(trained) == _how(held_out) and (split == TRAIN or trained.rule is not None)):
                continue
            if split == TRAIN and held_out.rule is None:
                continue  # told of the two the other way round
            if split == TRAIN and one.train_only:
                raise RequestError(
                    f"The part '{one.name}' of the mixture is 'train_only', so it trains on all of {min(shared)}, "
                    f"of which '{other.name}' holds out some. Expected no 'train_only' there but 'validation: "
                    f"{other.name}' of the mixture, and 'split_by: target' where the language that both are split by "
                    "is the target."
                )
            if split == TRAIN:
                raise RequestError(
                    f"The parts '{one.name}' and '{other.name}' of the mixture both read {min(shared)}, but hold out "
                    "other lines of it, so one would train on what the other is tested on. Expected the same fractions "
                    "and one language to split by, with 'split_by: target' in the parts that have it there; or a file "
                    "a split."
                )
            raise RequestError(
                f"The part '{one.name}' of the mixture trains on {min(shared)}, which is the {split} split of "
                f"'{other.name}', so it would be tested on what it has seen. Expected other files for training."
            )


def count_seen(trained: Iterable[Pair], corpus: Corpus) -> dict[str, tuple[int, int]]:
    """For each split but train, how many of its pairs are among those `trained` on, either way round, and of how many.

    Splits of which none is are left out.
    """
    seen = {_either_way(pair) for pair in trained}
    found = {}
    for split in corpus.splits:
        if split != TRAIN:
            pairs = [_either_way(pair) for pair in corpus.read(split)]
            if count := sum(pair in seen for pair in pairs):
                found[split] = (count, len(pairs))
    return found


def _either_way(pair: Pair) -> frozenset[str]:
    return frozenset((str(pair.source), pair.target or ""))


def _files_of_both(one: PartCorpus, other: PartCorpus) -> Iterator[tuple[str, SplitSource, SplitSource]]:
    """Every split of `other` beside what `one` trains on, where both are read from files."""
    if isinstance(one.corpus, PairsCorpus) and isinstance(other.corpus, PairsCorpus) and TRAIN in one.corpus.sources:
        for split, source in other.corpus.sources.items():
            yield split, one.corpus.sources[TRAIN], source


def _places(files: PairFiles) -> set[str]:
    return {os.path.realpath(name) for name in file_names(files)}


def _how(source: SplitSource) -> object:
    """What decides whether a line is held out; None where none is."""
    if source.rule is None:
        return None
    match source.files:
        case TextFiles(of_source, of_target):
            side: object = of_target if source.by_target else of_source
        case TsvFile(_, of_source, of_target):
            side = of_target if source.by_target else of_source
        case JsonlFile(_, of_source, of_target):
            side = of_target if source.by_target else of_source
    return source.rule, side, bool(source.context)
