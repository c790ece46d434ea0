"""Whether one corpus of a mixture trains on what another holds out."""

from itertools import combinations

from seqlens.data.mixture import MixtureCorpus
from seqlens.data.pair_files import JsonlFile, TextFiles, TsvFile, file_names
from seqlens.data.pairs import PairsCorpus, SplitSource
from seqlens.data.splits import Corpus
from seqlens.data.splitting import TRAIN
from seqlens.errors import RequestError


def check_held_out(corpus: Corpus) -> None:
    """Refuses two parts of the same files that hold out by different rules, such as one of each direction.

    Raises:
        RequestError: there are such parts.
    """
    parts = corpus.parts if isinstance(corpus, MixtureCorpus) else ()
    trained = {
        part.name: part.corpus.sources[TRAIN]
        for part in parts
        if isinstance(part.corpus, PairsCorpus) and TRAIN in part.corpus.sources
    }
    for (first, one), (second, other) in combinations(trained.items(), 2):
        shared = set(file_names(one.files)) & set(file_names(other.files))
        if shared and _how(one) != _how(other):
            raise RequestError(
                f"The parts '{first}' and '{second}' of the mixture both read {min(shared)}, but hold out other lines "
                "of it, so one would train on what the other is tested on. Expected the same fractions and one "
                "language to split by, with 'split_by: target' in the parts that have it there; or a file a split."
            )


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
