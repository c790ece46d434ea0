"""What validation during training is made of."""

from collections import Counter
from pathlib import Path

from seqlens.data.corpus import MixtureData, MixturePart, PairsData, open_corpus
from seqlens.data.fractions import PartOfPairs
from seqlens.workflows.fitting import scored_pairs


def part(folder: Path, name: str, count: int) -> MixturePart:
    path = folder / f"{name}.tsv"
    path.write_text("".join(f"{name} {n}\t{name.upper()} {n}\n" for n in range(count)))
    return MixturePart(PairsData(path=str(path), validation_fraction=0.3), tag=name)


def test_every_part_of_a_mixture_is_scored_by_its_share(tmp_path: Path) -> None:
    corpus = open_corpus(MixtureData((part(tmp_path, "one", 300), part(tmp_path, "two", 900))), base=Path())
    everything = [(pair.source, pair.target) for pair in corpus.read("validation")]
    for opened in (corpus, PartOfPairs(corpus, 0.5, 1)):
        found = scored_pairs(opened, 40)
        assert len(set(found)) == len(found) == 40
        assert set(found) <= set(everything)
        shares = Counter(source.split()[0] for source, _ in found)
        total = Counter(source.split()[0] for source, _ in everything)
        assert abs(shares["one"] - 40 * total["one"] / len(everything)) <= 1
    assert scored_pairs(corpus, 10_000) == everything


def test_of_other_data_the_first_are_scored(tmp_path: Path) -> None:
    corpus = open_corpus(part(tmp_path, "one", 300).data, base=Path())
    assert scored_pairs(corpus, 5) == [(pair.source, pair.target) for pair in corpus.read("validation")][:5]
