"""Files of sequences and genes: what other programs write is read as they read it, and faults have file and line."""

import gzip
import io
from dataclasses import replace
from pathlib import Path

import pytest

from seqlens.data.dna.fasta import read_fasta
from seqlens.data.dna.genbank import read_genbank
from seqlens.data.dna.gff3 import read_annotation
from seqlens.data.dna.letters import LETTERS, MEANINGS, reverse_complement
from seqlens.data.dna.records import DnaRecord, Gene
from seqlens.data.dna.windows import read_windows
from seqlens.errors import RequestError
from seqlens.tasks.mark.states import paint

GENBANK = """\
LOCUS       toy                       70 bp    DNA     linear   SYN 01-JAN-2000
DEFINITION  made by hand.
FEATURES             Location/Qualifiers
     source          1..70
                     /note="no CDS   here: 5..8"
     CDS             join(3..8,
                     13..>15)
                     /gene="first"
                     /note="over two
                     lines"
     CDS             complement(join(21..26,31..36))
                     /codon_start=2
                     /locus_tag="second"
     CDS             50..55
                     /pseudo
ORIGIN
        1 ccatggcaag taggaactag ttacatacgt nnnccatacg tacgtacgta tgaaatagcc
       61 acgtacgtac
//
"""
GFF3 = """\
##gff-version 3
chr1\tmade\tgene\t1\t30\t.\t+\t.\tID=g1
chr1\tmade\tmRNA\t1\t30\t.\t+\t.\tID=t1;Parent=g1
chr1\tmade\tmRNA\t1\t30\t.\t+\t.\tID=t2;Parent=g1
chr1\tmade\tCDS\t13\t18\t.\t+\t0\tParent=t1
chr1\tmade\tCDS\t4\t9\t.\t+\t0\tParent=t1,t1-protein
chr1\tmade\tCDS\t4\t9\t.\t+\t0\tParent=t2
chr2\tmade\tCDS\t2\t7\t.\t-\t1\tID=lonely%20gene
"""
SEQUENCES = ">chr1 the first\nACGTACGTAC\nACGTACGTAC\nACGTACGTAC\n>chr2\nACGTACGTRY\n"


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def refused(read: object, *parts: str) -> None:
    with pytest.raises(RequestError) as told:
        list(read())  # type: ignore[operator]
    for part in parts:
        assert part in str(told.value)


def test_the_other_strand() -> None:
    assert reverse_complement("AACGTN") == "NACGTT"
    for letter in LETTERS:
        assert set(MEANINGS[reverse_complement(letter)]) == {reverse_complement(base) for base in MEANINGS[letter]}


@pytest.mark.parametrize("packed", [False, True])
def test_fasta_as_biopython_reads_it(tmp_path: Path, packed: bool) -> None:
    sequence_io = pytest.importorskip("Bio.SeqIO")
    text = ">a first one\nacgtRYN\nACGU\n\n>b\r\nTTTT\r\n"
    path = tmp_path / "some.fa"
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    found = list(read_fasta(path))
    expected = list(sequence_io.parse(io.StringIO(text.replace("\r", "")), "fasta"))
    assert [record.name for record in found] == [record.id for record in expected]
    assert [record.sequence for record in found] == [str(record.seq).upper().replace("U", "T") for record in expected]
    assert found[1].place is not None
    assert found[1].place.line == 5


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (">a\nACGT\nACXT\n", ("line 3", "'X'", "column 3")),
        (">a\nAC-T\n", ("line 2", "gap")),
        ("ACGT\n", ("line 1", "no name")),
        (">a\n>b\nAC\n", ("line 1", "'a' has no sequence")),
        (">a\nAC\n>a\nAC\n", ("line 3", "second time")),
        ("", ("is empty",)),
        ("\n\n", ("no line that begins with '>'",)),
    ],
)
def test_broken_fasta(tmp_path: Path, text: str, parts: tuple[str, ...]) -> None:
    path = write(tmp_path / "broken.fa", text)
    refused(lambda: read_fasta(path), "broken.fa", *parts)


def test_a_gzipped_file_that_was_cut(tmp_path: Path) -> None:
    path = tmp_path / "cut.fa.gz"
    path.write_bytes(gzip.compress((">a\n" + "ACGTTGCA" * 4000 + "\n" + "CATG" * 999).encode())[:-9])
    refused(lambda: read_fasta(path), "cut.fa.gz", "ends too early")


def test_genbank(tmp_path: Path) -> None:
    (record,) = read_genbank(write(tmp_path / "toy.gb", GENBANK))
    assert (record.name, len(record.sequence)) == ("toy", 70)
    assert record.sequence[30:33] == "NNN"
    assert record.genes == (
        Gene("+", ((2, 8), (12, 15)), 0, "first"),
        Gene("-", ((20, 26), (30, 36)), 1, "second"),
    )


def test_genbank_as_biopython_reads_it(tmp_path: Path) -> None:
    sequence_io = pytest.importorskip("Bio.SeqIO")
    (record,) = read_genbank(write(tmp_path / "toy.gb", GENBANK))
    expected = sequence_io.read(io.StringIO(GENBANK), "genbank")
    assert record.sequence == str(expected.seq)
    features = [one for one in expected.features if one.type == "CDS" and "pseudo" not in one.qualifiers]
    for gene, feature in zip(record.genes, features, strict=True):
        pieces = "".join(record.sequence[start:end] for start, end in gene.exons)
        assert (pieces if gene.strand == "+" else reverse_complement(pieces)) == str(feature.extract(expected.seq))


@pytest.mark.parametrize(("old", "new"), [("13..>15", "X01234.1:3..9"), ("join(3..8,", "join(complement(3..8),")])
def test_a_gene_that_is_in_two_places_is_left_out_and_the_others_are_read(tmp_path: Path, old: str, new: str) -> None:
    (record,) = read_genbank(write(tmp_path / "toy.gb", GENBANK.replace(old, new, 1)))
    assert [gene.name for gene in record.genes] == ["second"]


@pytest.mark.parametrize(
    ("location", "genes"),
    [
        ("join(66..70,1..4)", [Gene("+", ((0, 4),), 1), Gene("+", ((65, 70),), 0)]),
        ("complement(join(66..70,1..4))", [Gene("-", ((0, 4),), 0), Gene("-", ((65, 70),), 2)]),
        ("join(complement(31..36),complement(21..26))", [Gene("-", ((20, 26), (30, 36)), 0)]),
    ],
)
def test_a_gene_over_the_origin_of_a_ring_is_two_parts(tmp_path: Path, location: str, genes: list[Gene]) -> None:
    text = GENBANK.replace("complement(join(21..26,31..36))", location).replace("/codon_start=2", "/note=here")
    (record,) = read_genbank(write(tmp_path / "ring.gb", text))
    assert [replace(gene, name="") for gene in record.genes if gene.name == "second"] == genes


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("13..>15", "13..>99", ("line 6", "ends at base 99", "70 bases")),
        ("13..>15", "13..15..17", ("line 6", "cannot be read")),
        ("acgtacgtac\n//", "acgtacgzac\n//", ("line 18", "'z'", "column 18")),
        ("       61 ", "       71 ", ("line 18", "expected the number of its first base, 61")),
        ("/codon_start=2", "/codon_start=4", ("line 11", "codon_start")),
        ("//\n", "", ("inside the record 'toy'",)),
        ("ORIGIN\n", "NOTHING\n", ("has no sequence",)),
        (GENBANK, "", ("is empty",)),
        ("LOCUS ", "locus ", ("line 1", "outside a record")),
    ],
)
def test_broken_genbank(tmp_path: Path, old: str, new: str, parts: tuple[str, ...]) -> None:
    assert old in GENBANK
    path = write(tmp_path / "broken.gb", GENBANK.replace(old, new, 1))
    refused(lambda: read_genbank(path), "broken.gb", *parts)


def read_both(tmp_path: Path, annotation: str, sequences: str = SEQUENCES) -> list[DnaRecord]:
    fasta = write(tmp_path / "two.fa", sequences)
    found = read_annotation(write(tmp_path / "two.gff3", annotation))
    return list(found.add_to(read_fasta(fasta), str(fasta)))


def test_gff3_with_fasta(tmp_path: Path) -> None:
    first, second = read_both(tmp_path, GFF3)
    # Of the two transcripts of g1 the longer one, its lines in the order of the sequence.
    assert first.genes == (Gene("+", ((3, 9), (12, 18)), 0, "t1"),)
    assert second.genes == (Gene("-", ((1, 7),), 1, "lonely gene"),)


def test_gff3_with_its_own_sequences(tmp_path: Path) -> None:
    path = write(tmp_path / "own.gff3", GFF3 + "##FASTA\n" + SEQUENCES)
    found = read_annotation(path)
    assert list(found.add_to(found.records, str(path))) == [
        DnaRecord(record.name, record.sequence, record.genes, own.place)
        for record, own in zip(read_both(tmp_path, GFF3), found.records, strict=True)
    ]


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("\t+\t0\tParent=t2", " + 0 Parent=t2", ("line 7", "6 columns", "expected 9")),
        ("chr2\tmade", "chr3\tmade", ("line 8", "'chr3'", "has not")),
        ("2\t7", "2\t17", ("line 8", "ends at base 17", "10 bases")),
        ("2\t7", "7\t2", ("line 8", "from 7 to 2")),
        ("2\t7", "two\t7", ("line 8", "'two'")),
        ("\t-\t1", "\t.\t1", ("line 8", "strand '.'")),
        ("\t-\t1", "\t-\t.", ("line 8", "phase '.'")),
        ("13\t18\t.\t+", "13\t18\t.\t-", ("line 6", "one strand")),
        (GFF3, "", ("is empty",)),
        (GFF3, GFF3.replace("\t", " "), ("line 2", "separated by spaces")),
    ],
)
def test_broken_gff3(tmp_path: Path, old: str, new: str, parts: tuple[str, ...]) -> None:
    assert old in GFF3
    refused(lambda: read_both(tmp_path, GFF3.replace(old, new, 1)), "two.gff3", *parts)


def test_a_cds_of_two_transcripts_is_in_both(tmp_path: Path) -> None:
    lines = GFF3.replace("\tParent=t2\n", "\tParent=t1,t2\n").replace(
        "chr2\t", "chr1\tmade\tCDS\t22\t30\t.\t+\t0\tParent=t2\nchr2\t"
    )
    first, _ = read_both(tmp_path, lines.replace("chr1\tmade\tCDS\t4\t9\t.\t+\t0\tParent=t1,t1-protein\n", ""))
    assert first.genes == (Gene("+", ((3, 9), (21, 30)), 0, "t2"),)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("ID=lonely%20gene", "ID=lonely;pseudo=true"),
        ("ID=lonely%20gene", "Parent=dead\nchr2\tmade\tpseudogene\t2\t7\t.\t-\t.\tID=dead"),
        ("ID=lonely%20gene", "ID=a\nchr2\tmade\tCDS\t8\t10\t.\t+\t0\tID=a;exception=trans-splicing"),
    ],
)
def test_pseudogenes_and_genes_on_both_strands_are_left_out_of_gff3_too(tmp_path: Path, old: str, new: str) -> None:
    first, second = read_both(tmp_path, GFF3.replace(old, new))
    assert len(first.genes) == 1
    assert second.genes == ()


@pytest.mark.parametrize(
    ("strand", "expected"),
    [
        ("+", (Gene("+", ((0, 4),), 2, "over"), Gene("+", ((5, 10),), 1, "over"))),
        ("-", (Gene("-", ((0, 4),), 1, "over"), Gene("-", ((5, 10),), 0, "over"))),
    ],
)
def test_a_gene_over_the_origin_of_a_circle_is_two_parts(
    tmp_path: Path, strand: str, expected: tuple[Gene, ...]
) -> None:
    line = f"chr2\tmade\tCDS\t6\t14\t.\t{strand}\t1\tID=over\n"
    circle = "chr2\tmade\tregion\t1\t10\t.\t+\t.\tID=chr2;Is_circular=true\n"
    _, second = read_both(tmp_path, f"##gff-version 3\n{circle}{line}")
    assert second.genes == expected
    refused(lambda: read_both(tmp_path, f"##gff-version 3\n{line}"), "two.gff3 line 2", "ends at base 14, outside")


def test_a_table_may_hold_a_long_sequence(tmp_path: Path) -> None:
    path = write(tmp_path / "long.csv", f"{'ACGT' * 40000},yes\n")
    (row,) = read_windows(path, sequence_column=0, label_column=1)
    assert len(row.text) == 160000


BACTERIAL = "##gff-version 3\n" + "".join(
    f"one\tR\t{kind}\t{start}\t{end}\t.\t{strand}\t{phase}\t{attributes}\n"
    for kind, start, end, strand, phase, attributes in [
        ("gene", 1, 30, "+", ".", "ID=gene-1"),
        ("CDS", 1, 30, "+", "0", "ID=cds-long;Parent=gene-1"),
        ("CDS", 1, 12, "+", "0", "ID=cds-short;Parent=gene-1"),
        ("CDS", 12, 17, "+", "0", "ID=cds-short;Parent=gene-1"),  # a ribosome slips
    ]
)


def test_proteins_of_one_gene_without_transcripts_are_told_apart(tmp_path: Path) -> None:
    record = DnaRecord("one", "ACGT" * 10)
    for text, expected in (
        (BACTERIAL, ((0, 30),)),
        (BACTERIAL.replace("1\t30\t.\t+\t0", "1\t9\t.\t+\t0"), ((0, 12), (11, 17))),
        # Each line with an ID of its own is of one protein, where they do not overlap.
        (BACTERIAL.replace("1\t30\t.\t+\t0", "18\t20\t.\t+\t0"), ((0, 12), (11, 17), (17, 20))),
    ):
        annotation = read_annotation(write(tmp_path / "a.gff3", text))
        (found,) = annotation.add_to([record], "a.fa")
        assert [gene.exons for gene in found.genes] == [expected]
        assert found.genes[0].end == max(end for _, end in expected)
        assert paint(found).shape[-1] == 40


def test_gtf_is_not_taken_for_gff3(tmp_path: Path) -> None:
    line = 'one\tR\tCDS\t1\t9\t.\t+\t0\tgene_id "g1"; transcript_id "t1";\n'
    refused(lambda: read_annotation(write(tmp_path / "a.gff", line)), "a.gff line 1", "key=value", "looks like GTF")
