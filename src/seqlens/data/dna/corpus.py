"""A corpus of sequences with genes, from the catalogue or from files."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from seqlens.data.dna.fasta import read_fasta
from seqlens.data.dna.genbank import read_genbank
from seqlens.data.dna.genes import fingerprint_records
from seqlens.data.dna.gff3 import read_annotation
from seqlens.data.dna.pieces import cut_pieces, cut_to_split
from seqlens.data.dna.records import DnaRecord
from seqlens.data.download import Announce
from seqlens.data.example_cards import example_card_names
from seqlens.data.split_corpus import (
    Fraction,
    FractionOrNone,
    Reader,
    SplitCorpus,
    check_fractions,
    complete_splits,
    find_card,
    open_card,
)
from seqlens.data.splitting import TEST, TRAIN, VALIDATION
from seqlens.errors import RequestError, did_you_mean

_GENBANK = (".gb", ".gbk", ".gbff", ".genbank", ".train", ".test")
_GFF3 = (".gff3", ".gff")
_NOUN = ("sequence", "sequences")


@dataclass(frozen=True, slots=True)
class AnnotatedFiles:
    """A FASTA file and the GFF3 file with the genes on its sequences."""

    sequences: str
    genes: str


@dataclass(frozen=True, slots=True)
class DnaData:
    """Sequences with genes; relative paths are taken from the recipe's folder.

    `path`, `train`, `validation` and `test` each name a GenBank file, a GFF3 file with its sequences after `##FASTA`,
    or, as `{sequences: genome.fa, genes: genes.gff3}`, two files; `path` can be a name of the catalogue instead, and is
    split by a hash of the records' names. `piece_length`: sequences longer than half as much again are cut between
    genes into pieces of about this length, so that a chromosome has something for each split, and into shorter ones
    where `path` would have less than ten; null to keep them whole.
    """

    kind: Literal["dna"] = "dna"
    path: str | AnnotatedFiles | None = None
    train: str | AnnotatedFiles | None = None
    validation: str | AnnotatedFiles | None = None
    test: str | AnnotatedFiles | None = None
    piece_length: Annotated[int, Field(ge=1000)] | None = 50_000
    validation_fraction: Fraction = 0.1
    test_fraction: FractionOrNone = 0.1

    def __post_init__(self) -> None:
        check_fractions(self.validation_fraction, self.test_fraction)


def open_dna(config: DnaData, *, base: Path, announce: Announce | None = None) -> SplitCorpus[DnaRecord]:
    """Opens a corpus of sequences with genes; relative paths are taken from `base`.

    Raises:
        RequestError: a path or a choice of files does not fit. WorkError: a download failed.
    """
    readers: dict[str, Reader[DnaRecord]] = {}
    name = "files"
    card = find_card(config.path) if isinstance(config.path, str) else None
    if card is not None:
        name = card.name
        files = open_card(card, "dna", announce)
        readers = {split: partial(_read_all, some, config.piece_length) for split, some in files.items()}
    elif config.path is not None:
        name = config.path if isinstance(config.path, str) else config.path.sequences
        readers = {TRAIN: _reader(config.path, config, base, "path")}
    for split, given in ((TRAIN, config.train), (VALIDATION, config.validation), (TEST, config.test)):
        if given is not None:
            readers[split] = _reader(given, config, base, split)
    return complete_splits(
        SplitCorpus(name, readers, fingerprint_records, _NOUN), config, key=lambda record: record.name
    )


def read_records(path: Path) -> Iterable[DnaRecord]:
    """The records of a GenBank file, or of a GFF3 file that holds its sequences.

    Raises:
        RequestError: the ending is of neither, or as the readers say.
    """
    ending = Path(path.name.removesuffix(".gz")).suffix
    if ending in _GENBANK:
        return read_genbank(path)
    if ending in _GFF3:
        annotation = read_annotation(path)
        if not annotation.records:
            raise RequestError(
                f"{path} has genes but no sequences after '##FASTA', expected two files: "
                "'{sequences: genome.fa, genes: genes.gff3}'."
            )
        return annotation.add_to(annotation.records, str(path))
    raise RequestError(
        f"{path} has none of the endings {', '.join((*_GENBANK[:4], *_GFF3))} (.gz after it or not), expected GenBank, "
        "GFF3, or two files: '{sequences: genome.fa, genes: genes.gff3}'."
    )


def _reader(given: str | AnnotatedFiles, config: DnaData, base: Path, where: str) -> Reader[DnaRecord]:
    names = (given,) if isinstance(given, str) else (given.sequences, given.genes)
    for name in names:
        if not (base / name).is_file():
            hint = did_you_mean(name, example_card_names()) if where == "path" else ""
            raise RequestError(f"There is no file {base / name}, which '{where}' names.{hint}")
    length = config.piece_length
    if isinstance(given, str):
        whole: Reader[DnaRecord] = partial(read_records, base / given)
    else:
        whole = partial(_read_two, base / given.sequences, base / given.genes)
    if where == "path" and length is not None:
        return lambda: cut_to_split(whole(), length)
    return lambda: cut_pieces(whole(), length)


def _read_all(files: list[Path], piece_length: int | None) -> Iterator[DnaRecord]:
    for file in files:
        yield from cut_pieces(read_records(file), piece_length)


def _read_two(sequences: Path, genes: Path) -> Iterable[DnaRecord]:
    annotation = read_annotation(genes)
    return annotation.add_to(read_fasta(sequences), str(sequences))
