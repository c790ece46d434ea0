"""Own sequences and genes to a model and to files of regions, by the command line, as the recipes' page says."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from seqlens.cli.main import build_app
from seqlens.data.dna.fasta import read_fasta
from seqlens.data.dna.genes import GenesData, open_genes
from seqlens.data.dna.gff3 import read_annotation
from seqlens.tasks.mark.answer import marking_of_genes, to_gff3

Invoke = Callable[..., Result]
RECIPE = """\
description: "Genes of my genome"
data:
  kind: dna
  path: {sequences: genome.fa, genes: genes.gff3}
  piece_length: 1200
task:
  kind: mark
  model: {kmer: 3, channels: 8, dilations: [1]}
  crop_length: 500
batches: {max_tokens: 2000}
training: {max_steps: 4, validate_every: 2, precision: float32, metric: coding_f1, mode: max, log_every: 1}
seed: 1
"""


@pytest.fixture
def seqlens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    monkeypatch.setenv("SEQLENS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SEQLENS_MIRROR", raising=False)
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str | Path, input: str | bytes | None = None) -> Result:
        return CliRunner().invoke(build_app(), [str(argument) for argument in arguments], input=input)

    return call


def write_genome(folder: Path) -> None:
    records = list(open_genes(GenesData(num_train=14, length=1000)).read("train"))
    folder.joinpath("genome.fa").write_text("".join(f">{one.name} made\n{one.sequence}\n" for one in records))
    found = [marking_of_genes(one.name, one.genes, len(one.sequence)) for one in records]
    folder.joinpath("genes.gff3").write_text(to_gff3(found))
    folder.joinpath("mine.yaml").write_text(RECIPE)


def test_own_genome_to_regions(seqlens: Invoke, tmp_path: Path) -> None:
    write_genome(tmp_path)
    trained = seqlens("train", "mine.yaml", "--out", "runs/mine")
    assert trained.exit_code == 0
    # Sequences are counted, not the crops that are read of them.
    num_train = json.loads(Path("runs/mine/run.json").read_text())["data"]["num_train"]
    told = " ".join(trained.stderr.split())
    assert f": {num_train} training sequences, read in " in told
    assert f", {num_train} training sequences" in Path("runs/mine/README.md").read_text()
    num_pieces = int(told.split("read in ")[1].split()[0])
    assert 1 < num_train < num_pieces
    scored = seqlens("evaluate", "runs/mine")
    assert scored.exit_code == 0
    assert {path.name for path in Path("runs/mine/evaluation/test").iterdir()} >= {
        "predictions.gff3",
        "predictions.bed",
        "references.bed",
    }

    assert seqlens("predict", "runs/mine", "--input", "genome.fa", "--output", "found.gff3").exit_code == 0
    records = list(read_annotation(Path("found.gff3")).add_to(read_fasta(Path("genome.fa")), "genome.fa"))
    assert sum(len(record.genes) for record in records) > 0

    assert seqlens("predict", "runs/mine", "--input", "genome.fa", "--output", "found.bed").exit_code == 0
    rows = [line.split("\t") for line in Path("found.bed").read_text().splitlines()]
    exons = {(record.name, start, end) for record in records for gene in record.genes for start, end in gene.exons}
    assert {(row[0], int(row[1]), int(row[2])) for row in rows} == exons

    answered = seqlens("predict", "runs/mine", "--json", "-", input=">a\nACGT\n>b\nATGNN\nAC\n")
    assert answered.exit_code == 0
    assert [json.loads(line)["num_bases"] for line in answered.stdout.splitlines()] == [4, 7]

    for line, found in (("AC XT", "'X' at column 4"), ("ACGTß", "'ß' at column 5")):
        Path("plain.txt").write_text(f"acgt \n\n{line}\n", encoding="utf-8")
        refused = seqlens("predict", "runs/mine", "--input", "plain.txt")
        assert refused.exit_code == 2
        assert f"plain.txt line 3 has {found}, expected bases" in refused.stderr
    Path("plain.txt").write_text("ac gu\n")
    assert seqlens("predict", "runs/mine", "--input", "plain.txt").stdout.startswith("sequence1\t")


WINDOWS = """\
description: "My windows"
data: {kind: dna_windows, classes: {yes: yes.fa, no: no.fa}}
task:
  kind: classify
  codec: {kind: nucleotides}
  model: {embedding_dim: 4, encoder: {kind: convolutional, channels: 4}, pooling: max}
batches: {max_tokens: 500}
training: {max_steps: 2, validate_every: 2, precision: float32, log_every: 1}
seed: 1
"""


def test_windows_in_fasta_are_answered_a_line_each_and_faults_told_with_file_and_line(
    seqlens: Invoke, tmp_path: Path
) -> None:
    for name, bases in (("yes", "ACAT"), ("no", "GTCC")):
        windows = [
            f">{name}{number}\n{bases * 3}{format(number, '08b').translate({48: 'A', 49: 'C'})}\n"
            for number in range(60)
        ]
        (tmp_path / f"{name}.fa").write_text("".join(windows))
    (tmp_path / "mine.yaml").write_text(WINDOWS)
    assert seqlens("train", "mine.yaml", "--out", "runs/mine").exit_code == 0
    (tmp_path / "new.fa").write_text(">a\nACGT\nACGT\n>b\nACATACGT\n")
    answered = seqlens("predict", "runs/mine", "--input", "new.fa", "--json")
    assert answered.exit_code == 0
    assert [json.loads(line)["input"] for line in answered.stdout.splitlines()] == ["ACGTACGT", "ACATACGT"]
    piped = seqlens("predict", "runs/mine", "-", "--json", input="\ufeff>a\r\nACGT\r\nACGT\r\n>b\r\nACATACGT")
    assert piped.stdout == answered.stdout
    packed = seqlens("predict", "runs/mine", "-", input=gzip.compress(b">a\nACGT\n"))
    assert packed.exit_code == 2
    assert "stdin line 1 is not UTF-8" in packed.stderr
    for name in ("yes", "no"):
        (tmp_path / f"{name}.fa").rename(tmp_path / f"{name}-gone.fa")
    (tmp_path / "new.csv").write_text("sequence,label\nACATACATACAT,yes\nGTCCGTCCGTCC,no\n")
    scored = seqlens("evaluate", "runs/mine", "--data", "new.csv")
    assert scored.exit_code == 0, scored.output
    assert "The baselines are left out, as the training data are not there" in " ".join(scored.stderr.split())
    (tmp_path / "new.fa").write_text(">a\nACGT\nACZT\n")
    refused = seqlens("predict", "runs/mine", "--input", "new.fa")
    assert refused.exit_code != 0
    assert "new.fa line 3" in refused.stderr


@pytest.mark.parametrize("name", ["found.gtf", "found.gtf.gz"])
def test_a_form_that_is_not_written_is_refused(seqlens: Invoke, tmp_path: Path, name: str) -> None:
    write_genome(tmp_path)
    assert seqlens("train", "mine.yaml", "--out", "runs/mine").exit_code == 0
    refused = seqlens("predict", "runs/mine", "--input", "genome.fa", "--output", name)
    assert refused.exit_code != 0
    assert "expected an ending such as .gff3 or .bed" in refused.stderr
    assert not (tmp_path / name).exists()
    for plain, packed in (("found.gff3", "found.gff3.GZ"), ("found.bed", "found.bed.gz")):
        for name in (plain, packed):
            done = seqlens("predict", "runs/mine", "--input", "genome.fa", "--output", name)
            assert done.exit_code == 0, done.output
        assert gzip.decompress((tmp_path / packed).read_bytes()) == (tmp_path / plain).read_bytes()


def test_broken_sequences_are_told_with_file_and_line(seqlens: Invoke, tmp_path: Path) -> None:
    write_genome(tmp_path)
    genome, genes = tmp_path / "genome.fa", tmp_path / "genes.gff3"
    sound = genome.read_text(), genes.read_text()
    genome.write_text(sound[0].replace("A\n", "J\n", 1))
    told = seqlens("train", "mine.yaml", "--out", "runs/mine")
    assert told.exit_code == 2
    assert "genome.fa line" in told.output
    assert "'J'" in told.output

    genome.write_text(sound[0])
    genes.write_text(sound[1].replace("train3\t", "chr7\t"))
    told = seqlens("train", "mine.yaml", "--out", "runs/mine")
    assert told.exit_code == 2
    assert "'chr7'" in told.output
    assert not (tmp_path / "runs" / "mine" / "model.safetensors").exists()
