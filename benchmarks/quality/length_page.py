"""The tables of docs/results.md that show an entry's score by the length of the source."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.quality.answers import Kept, read_kept_of
from benchmarks.quality.comparison_page import mean_over_seeds, score_text
from benchmarks.quality.groups import Group
from benchmarks.quality.markdown import table
from benchmarks.quality.scores import score_title
from seqlens.tasks.transduce.analysis.buckets import make_buckets


def by_length(group: Group, split: str, score: str, answers: Path) -> str:
    """The score of each bucket of sources, the mean over the seeds whose counts are kept; nothing if none are."""
    found = [kept for row in group.rows if (kept := read_kept_of(answers, row, split)) is not None]
    if not found:
        return ""
    count = min(kept.num_sentences for kept in found)
    of_all = "" if count == found[0].num_in_split else f" of the first {count:,} sentences"
    return "\n".join(
        [
            f"{score_title(score)} on {split} by source length{of_all}, with 95 % bootstrap intervals:\n",
            table(("words of the source", "sentences", score_title(score)), _lines(found, score, count)),
        ]
    )


def _lines(found: Sequence[Kept], score: str, count: int) -> list[tuple[str, str, str]]:
    lines = []
    for bucket in make_buckets("length", found[0].numbers["length"][:count]):
        mean = mean_over_seeds([kept.scores[score].select(bucket.rows) for kept in found])
        lines.append((bucket.label, f"{len(bucket.rows):,}", score_text(mean.score())))
    return lines
