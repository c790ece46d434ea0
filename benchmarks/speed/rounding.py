"""What products of less precision cost a translation: BLEU of one trained Transformer, searched in each of them."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.speed.decoding_systems import precisions
from benchmarks.speed.figures import Figure, Result
from seqlens.data.examples import Pair
from seqlens.inference import Predictor, load_transducer

NEAR = 0.1
"""BLEU that a search may lose by rounding."""
RECIPE, QUICK_RECIPE = "translation/transformer", "dates/transformer"
OVERRIDES = {"training.max_steps": 1500}
QUICK_OVERRIDES = {"data.locales": ["en_US"], "data.num_train": 200, "data.num_test": 20, "training.max_steps": 3}
SPLITS, QUICK_SPLITS = ("test", "test_2017", "test_2017_mscoco"), ("test",)
SEARCHES: Mapping[str, Mapping[str, Any]] = {
    "greedy": {"method": "greedy"},
    "beam 5": {"method": "beam", "beam_width": 5},
}


def measure(*, quick: bool) -> Result:
    """Trains some minutes; data comes from where SEQLENS_MIRROR says, or else is downloaded."""
    import seqlens
    from seqlens.workflows.evaluation_data import run_corpus

    recipe, overrides, splits = (QUICK_RECIPE, QUICK_OVERRIDES, QUICK_SPLITS) if quick else (RECIPE, OVERRIDES, SPLITS)
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as scratch:
        trained = seqlens.train(recipe, out=Path(scratch) / "run", overrides=overrides)
        predictor = load_transducer(trained.path, device="cpu")
        corpus = run_corpus(predictor)
        pairs = [pair for split in splits for pair in corpus.read(split)]
        facts = {
            "data": f"{corpus.name}, {corpus.source_name} to {corpus.target_name}, {len(pairs):,} pairs of "
            f"{', '.join(splits)}; BLEU, lower-cased, of all of them together",
            "run": f"recipe {recipe}, one training of {trained.result.steps:,} steps",
        }
        for name, settings in SEARCHES.items():
            more, facts[f"{name}, answers"] = _compare(name, predictor, pairs, settings)
            figures += more
    return Result(name="rounding", title="Rounding in a search", figures=tuple(figures), facts=facts)


def _compare(
    name: str, predictor: Predictor, pairs: Sequence[Pair], settings: Mapping[str, Any]
) -> tuple[list[Figure], str]:
    from seqlens.tasks.transduce.validation import compute_score

    references = [pair.target or "" for pair in pairs]
    answers: dict[str, list[str]] = {}
    scores: dict[str, float] = {}
    for precision in precisions():
        found = predictor.predict([pair.source for pair in pairs], align=False, precision=precision, **settings)
        answers[precision] = [answer.text for answer in found]
        scores[precision] = compute_score("bleu", answers[precision], references, lowercase=True).value
    figures = [Figure(name=f"{name}: BLEU in float32", value=scores.pop("float32"), unit="", better="higher")]
    exact = answers.pop("float32")
    same = []
    for precision, score in scores.items():
        figures += [
            Figure(name=f"{name}: BLEU in {precision}", value=score, unit="", better="higher"),
            Figure(
                name=f"{name}: BLEU in {precision} less BLEU in float32",
                value=score - figures[0].value,
                unit="",
                bar=-NEAR,
                better="higher",
            ),
        ]
        equal = sum(one == other for one, other in zip(answers[precision], exact, strict=True))
        same.append(f"{precision}: {equal / len(pairs):.1%} as in float32")
    return figures, "; ".join(same)
