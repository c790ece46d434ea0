"""Corpora of DNA from files of each form, their splits, generated genes, and windows with labels."""

import gzip
import os
from itertools import pairwise
from pathlib import Path

import pytest

from seqlens.data.dna.corpus import AnnotatedFiles, DnaData, open_dna
from seqlens.data.dna.genes import GenesData, open_genes
from seqlens.data.dna.letters import reverse_complement
from seqlens.data.dna.pieces import cut_pieces, cut_to_split
from seqlens.data.dna.records import DnaRecord, Gene
from seqlens.data.dna.windows_corpus import DnaWindowsData, open_windows
from seqlens.data.example_cards import read_example_card
from seqlens.data.example_corpus import ExampleCorpus
from seqlens.errors import RequestError

needs_mirror = pytest.mark.skipif(not os.environ.get("SEQLENS_MIRROR"), reason="SEQLENS_MIRROR names no folder")


def write_genome(folder: Path, num_genes: int = 12) -> DnaRecord:
    """Two files with one chromosome of generated genes; returns it."""
    parts = list(open_genes(GenesData(num_train=num_genes, length=1000)).read("train"))
    genes, sequence = [], ""
    for part in parts:
        offset = len(sequence)
        for gene in part.genes:
            exons = tuple((start + offset, end + offset) for start, end in gene.exons)
            genes.append(Gene(gene.strand, exons, 0, f"{part.name}.{gene.name}"))
        sequence += part.sequence
    lines = ["##gff-version 3"]
    for gene in genes:
        read = 0
        for start, end in gene.exons if gene.strand == "+" else reversed(gene.exons):
            lines.append(f"chr1\tmade\tCDS\t{start + 1}\t{end}\t.\t{gene.strand}\t{-read % 3}\tParent={gene.name}")
            read += end - start
    (folder / "genes.gff3").write_text("\n".join(lines) + "\n")
    (folder / "genome.fa.gz").write_bytes(gzip.compress(f">chr1\n{sequence}\n".encode()))
    return DnaRecord("chr1", sequence, tuple(genes))


def test_a_chromosome_and_its_genes_have_something_for_each_split(tmp_path: Path) -> None:
    whole = write_genome(tmp_path)
    config = DnaData(path=AnnotatedFiles("genome.fa.gz", "genes.gff3"), piece_length=1500)
    corpus = open_dna(config, base=tmp_path)
    assert isinstance(corpus, ExampleCorpus)
    assert corpus.splits == ("train", "validation", "test")
    records = [record for split in corpus.splits for record in corpus.read(split)]
    assert sum(len(record.sequence) for record in records) == len(whole.sequence)
    assert sum(len(record.genes) for record in records) == len(whole.genes)
    assert len({corpus.fingerprint(split) for split in corpus.splits}) == 3
    for record in records:
        first = int(record.name.partition(":")[2].partition("-")[0]) - 1
        assert whole.sequence[first : first + len(record.sequence)] == record.sequence
        for gene in record.genes:
            moved = tuple((start + first, end + first) for start, end in gene.exons)
            assert any(one.exons == moved and one.strand == gene.strand for one in whole.genes)


def test_a_short_chromosome_has_a_test_split_by_default(tmp_path: Path) -> None:
    genes = tuple(Gene("+", ((start, start + 300),)) for start in range(500, 117_000, 1500))
    whole = DnaRecord("chr1", "ACGT" * 30_000, genes)
    pieces = list(cut_to_split([whole], 50_000))
    assert 15 <= len(pieces) <= 25
    assert "".join(piece.sequence for piece in pieces) == whole.sequence
    assert sum(len(piece.genes) for piece in pieces) == len(genes)
    many = [DnaRecord(f"contig{number}", "ACGT" * 500, ()) for number in range(10)]
    assert list(cut_to_split(many, 50_000)) == many, "there are enough, so none is cut"


def test_no_piece_cuts_a_gene() -> None:
    long = DnaRecord("x", "A" * 9000, (Gene("+", ((900, 1100), (4000, 4200))), Gene("-", ((5000, 5200),))))
    pieces = list(cut_pieces([long], 1000))
    assert sum(len(piece.genes) for piece in pieces) == 2
    assert "".join(piece.sequence for piece in pieces) == long.sequence
    assert [len(piece.sequence) for piece in pieces] == [4600, 1100, 1000, 1000, 1300]
    assert list(cut_pieces([long], None)) == [long]
    inside = DnaRecord("y", "A" * 9000, (Gene("+", ((300, 400), (8600, 8700))),))
    assert list(cut_pieces([inside], 1000)) == [inside]


@pytest.mark.parametrize(
    ("config", "parts"),
    [
        (DnaData(), ("none of", "'path'")),
        (DnaData(path="none.gb"), ("no file", "none.gb")),
        (DnaData(path="genes.gff3"), ("no sequences", "##FASTA")),
        (DnaData(path="genome.fa.gz"), ("endings",)),
        (DnaData(path="mr"), ("kind 'labelled'",)),
    ],
)
def test_files_that_do_not_fit(tmp_path: Path, config: DnaData, parts: tuple[str, ...]) -> None:
    write_genome(tmp_path, 2)
    with pytest.raises(RequestError) as told:
        open_dna(config, base=tmp_path)
    for part in parts:
        assert part in str(told.value)


def test_generated_genes_are_genes() -> None:
    corpus = open_genes(GenesData(num_train=10))
    assert corpus.fingerprint("train") == open_genes(GenesData(num_train=10)).fingerprint("train")
    assert corpus.fingerprint("train") != open_genes(GenesData(num_train=10, seed=1)).fingerprint("train")
    strands = set()
    for record in corpus.read("train"):
        assert len(record.sequence) >= 3000
        assert all(left.end < right.start for left, right in pairwise(record.genes))
        for gene in record.genes:
            coding = "".join(record.sequence[start:end] for start, end in gene.exons)
            coding = coding if gene.strand == "+" else reverse_complement(coding)
            codons = [coding[place : place + 3] for place in range(0, len(coding), 3)]
            stops = [codon in ("TAA", "TAG", "TGA") for codon in codons]
            assert codons[0] == "ATG"
            assert stops[-1]
            assert sum(stops) == 1
            for left, right in pairwise(gene.exons):
                intron = record.sequence[left[1] : right[0]]
                intron = intron if gene.strand == "+" else reverse_complement(intron)
                assert (intron[:2], intron[-2:]) == ("GT", "AG")
            strands.add(gene.strand)
    assert strands == {"+", "-"}
    with pytest.raises(RequestError, match="validation"):
        list(corpus.read("valid"))


TABLE = (
    "Label, Name,  Sequence\nyes, a,  ACGTACGTAC\nno, b, acgtNNGTAA\nyes, c, ACGTACGTAC\nno, d, TTTT\nyes, e, TTTT\n"
)


def read_all(config: DnaWindowsData, base: Path) -> list[tuple[str, str]]:
    corpus = open_windows(config, base=base)
    return sorted((example.text, example.label) for split in corpus.splits for example in corpus.read(split))


def test_windows_of_a_table(tmp_path: Path) -> None:
    (tmp_path / "some.csv").write_text(TABLE)
    assert read_all(DnaWindowsData(path="some.csv", test_fraction=0), tmp_path) == [
        ("ACGTACGTAC", "yes"),
        ("ACGTNNGTAA", "no"),
    ]
    everything = DnaWindowsData(path="some.csv", duplicates="keep", labels={"yes": "1"}, test_fraction=0)
    assert sorted(label for _, label in read_all(everything, tmp_path)) == ["1", "1", "1", "no", "no"]


def test_windows_of_a_file_a_class(tmp_path: Path) -> None:
    (tmp_path / "in.fa").write_text("> 1\nACGT\n> 1\nAAAA\n")
    (tmp_path / "out.fa").write_text(">x\nCCCC\n>y\nGGGG\n")
    config = DnaWindowsData(classes={"promoter": "in.fa", "other": "out.fa"}, test_fraction=0)
    assert read_all(config, tmp_path) == [
        ("AAAA", "promoter"),
        ("ACGT", "promoter"),
        ("CCCC", "other"),
        ("GGGG", "other"),
    ]
    for folder, name in (("a", "in.fa"), ("b", "out.fa")):  # files of one name, told apart by their folders
        (tmp_path / folder).mkdir()
        (tmp_path / name).rename(tmp_path / folder / "some.fa")
    config = DnaWindowsData(classes={"promoter": "a/some.fa", "other": "b/some.fa"}, test_fraction=0)
    assert [label for _, label in read_all(config, tmp_path)] == ["promoter", "promoter", "other", "other"]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (TABLE.replace("acgtNN", "acgtXN"), ("line 3", "'X'")),
        (TABLE.replace("no, d", "no"), ("line 5", "2 columns")),
        (TABLE.replace("Sequence", "Seqence"), ("line 1", "no column 'sequence'", "Did you mean 'Seqence'")),
        (TABLE.replace("no, b", ", b"), ("line 3", "no label")),
        (TABLE.replace("TTTT", "", 1), ("line 5", "no sequence")),
        ("", ("is empty",)),
    ],
)
def test_broken_tables(tmp_path: Path, text: str, parts: tuple[str, ...]) -> None:
    (tmp_path / "broken.csv").write_text(text)
    with pytest.raises(RequestError) as told:
        read_all(DnaWindowsData(path="broken.csv"), tmp_path)
    for part in parts:
        assert part in str(told.value)


@needs_mirror
def test_the_catalogue() -> None:
    fly = open_dna(DnaData(path="augustus-fly"), base=Path())
    assert fly.splits == ("train", "validation", "test")
    assert sum(1 for _ in fly.read("test")) == 100
    assert fly.fingerprint("test") == read_example_card("augustus-fly").split("test").fingerprint
    splice = open_windows(DnaWindowsData(path="uci-splice"), base=Path())
    assert {example.label for example in splice.read("test")} == {"EI", "IE", "N"}
    promoters = open_windows(DnaWindowsData(path="promoters-ecoli"), base=Path())
    assert {example.label for example in promoters.read("test")} == {"promoter", "other"}
