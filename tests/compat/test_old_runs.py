"""Run folders written by earlier versions still load and answer as they did."""

from pathlib import Path

import pytest

import seqlens

ANSWERS = {
    "format 1, GRU with attention": (
        "run-format-1",
        {"June 25, 2009": ("2032-09-20", -8.587052), "25 juin 2009": ("2002-09-20", -8.372704)},
    ),
}


@pytest.mark.parametrize(("folder", "answers"), ANSWERS.values(), ids=ANSWERS.keys())
def test_an_old_run_answers_as_it_did(folder: str, answers: dict[str, tuple[str, float]]) -> None:
    model = seqlens.load(Path(__file__).parent / folder, device="cpu")
    for source, (text, log_prob) in answers.items():
        answer = model.predict(source)
        assert answer.text == text
        assert answer.log_prob == pytest.approx(log_prob, abs=1e-3)
