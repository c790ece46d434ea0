"""How scores are called and written."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any, Final, Literal, get_args

from benchmarks.quality.markdown import NOTHING
from benchmarks.rows import Row

KeptScore = Literal["bleu_lowercase", "bleu_cased", "chrf_lowercase", "chrf_cased", "exact_match_cased"]
"""What translations can be compared by: a sentence's counts are kept for each."""
KEPT_SCORES: Final[tuple[KeptScore, ...]] = get_args(KeptScore)

_SCORE_NAMES = {
    "bleu": "BLEU",
    "chrf": "chrF",
    "exact_match": "exact match",
    "perplexity": "perplexity",
    "f1": "F1",
    "coding_f1": "coding F1",
    "bits_per_character": "bits per character",
}
_CASES = {"lowercase": "lower-cased", "cased": "cased"}


def score_names(row: Row) -> list[str]:
    """The scores of a row in the order of a table: that of the task's measures, where the row says it."""
    told = [name for split in row["splits"].values() for name in split.get("measures", ())]
    if told:
        return list(dict.fromkeys(told))
    return sorted({name for split in row["splits"].values() for name in split["scores"]}, key=_score_order)


def title_in(row: Row, name: str) -> str:
    """What a score is called: by the row, where that says it."""
    for split in row["splits"].values():
        if (told := split["scores"].get(name, {}).get("name")) is not None:
            return str(told)
    return score_title(name)


def score_title(name: str) -> str:
    """`bleu_lowercase` as `BLEU lower-cased`."""
    for ending, case in _CASES.items():
        if name.endswith(f"_{ending}"):
            base = name.removesuffix(f"_{ending}")
            return f"{_SCORE_NAMES.get(base, base)} {case}"
    return _SCORE_NAMES.get(name, name)


def _score_order(name: str) -> tuple[int, str, bool]:
    base = name.removesuffix("_lowercase").removesuffix("_cased")
    known = list(_SCORE_NAMES)
    return (known.index(base) if base in known else len(known), base, name.endswith("_cased"))


def decimals_of(score: Mapping[str, Any]) -> int:
    """With how many decimals a score is shown: one, where a row does not say it."""
    return int(score.get("decimals", 1))


def mean_text(values: Iterable[float], decimals: int = 1) -> str:
    """The mean, with the smallest and the largest where there are several."""
    values = list(values)
    if not values:
        return NOTHING
    mean = f"{fmean(values):.{decimals}f}"
    return mean if len(values) == 1 else f"{mean} [{min(values):.{decimals}f}, {max(values):.{decimals}f}]"


def mean_of(scores: Sequence[Mapping[str, Any]]) -> str:
    """The mean of the scores of several rows."""
    return mean_text([score["value"] for score in scores], decimals_of(scores[0]) if scores else 1)


def interval_text(scores: Sequence[Mapping[str, Any]]) -> str:
    """From the lowest to the highest end of the intervals."""
    decimals = decimals_of(scores[0])
    low, high = min(score["low"] for score in scores), max(score["high"] for score in scores)
    return f"[{low:.{decimals}f}, {high:.{decimals}f}]"
