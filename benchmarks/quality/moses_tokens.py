"""BLEU of kept answers on the tokens that papers about Multi30k count, beside that on sacrebleu's.

They score text that the Moses scripts normalised, tokenised and lower-cased. For German, sacrebleu's 13a gives the same
tokens to 0.03 %; for French it keeps `l'herbe` whole where Moses has `l' herbe`, 3.6 % more tokens in test 2016, and
its scores are lower.

`python -m benchmarks.quality.moses_tokens --only "multi30k-en-*"` prints both; needs sacremoses (`pip install
'seqlens[bench]'`) and the data.
"""

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.command import run_command
from benchmarks.provenance import QUALITY_ANSWERS, QUALITY_ROWS
from benchmarks.quality.answers import stem_of
from benchmarks.quality.entry import select_entries
from benchmarks.quality.plan import PLAN
from benchmarks.rows import Row, read_rows
from seqlens.cli.guard import guarded
from seqlens.data.corpus import open_corpus
from seqlens.data.pairs import PairsData
from seqlens.errors import RequestError
from seqlens.metrics import corpus_bleu


def moses_tokens(texts: Sequence[str], language: str) -> list[str]:
    """The texts normalised and tokenised, with a space between two tokens; case is kept.

    Raises:
        RequestError: sacremoses is not installed.
    """
    try:
        from sacremoses import MosesPunctNormalizer, MosesTokenizer
    except ImportError as error:
        raise RequestError("sacremoses is not installed; `pip install 'seqlens[bench]'` brings it.") from error
    normalizer, tokenizer = MosesPunctNormalizer(language), MosesTokenizer(language)
    return [tokenizer.tokenize(normalizer.normalize(text), return_str=True, escape=False) for text in texts]


def both_scores(row: Row, split: str, kept: Path) -> tuple[float, float]:
    """Lower-cased BLEU of a run's answers, kept in a file, on the tokens of sacrebleu's 13a and on those of Moses."""
    data = row["data"]
    name = data["name"].split(" + ")[0]  # what was made besides is for training alone
    corpus = open_corpus(PairsData(path=name, source=data["source"], target=data["target"]), base=Path())
    references = [pair.target or "" for pair in corpus.read(split)]
    answers = gzip.decompress(kept.read_bytes()).decode("utf-8").split("\n")[:-1]
    references = references[: len(answers)]
    usual = corpus_bleu(answers, references, lowercase=True, num_resamples=0)
    found, wanted = (moses_tokens(texts, data["target"]) for texts in (answers, references))
    return usual.value, corpus_bleu(found, wanted, lowercase=True, tokenize="none", num_resamples=0).value


@guarded
def compare_tokens(
    only: Annotated[
        list[str], typer.Option("--only", metavar="PATTERN", help="An entry's name or recipe; `*` is anything.")
    ] = [],  # noqa: B006 - typer copies it
) -> None:
    """Score kept translations on the tokens of the Moses scripts, too."""
    names = {entry.name for entry in select_entries(PLAN, only)}
    for row in read_rows(QUALITY_ROWS):
        for split in row["splits"] if row["entry"] in names else ():
            kept = QUALITY_ANSWERS / f"{stem_of(row, split)}.txt.gz"
            # Of several directions in one corpus there is no one language to cut by.
            if "+" not in row["data"].get("target", "+") and kept.is_file():
                usual, moses = both_scores(row, split, kept)
                scores = f"13a {usual:.2f}  Moses {moses:.2f}"
                print(f"{row['entry']}  {row['settings']}  seed {row['seed']}  {split}  {scores}")


if __name__ == "__main__":
    run_command(compare_tokens)
