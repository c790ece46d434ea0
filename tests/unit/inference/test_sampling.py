"""What is drawn for an input is its own, whatever it is answered with; numbers that cannot be are told."""

from collections import Counter

import pytest

from seqlens.errors import RequestError
from seqlens.inference import Predictor
from seqlens.tasks.transduce.streams import draw_streams

TEXTS = ["ein hund rennt", "zwei hunde im schnee", "ein hund rennt", "eine katze, ein hund", "ein hund rennt", "katze"]


def drawn(predictor: Predictor, texts: list[str], **settings: object) -> list[str]:
    answers = predictor.predict(texts, method="sample", seed=2**70, max_length=12, **settings)  # type: ignore[arg-type]
    return [answer.text for answer in answers]


def test_draws_depend_neither_on_the_batch_nor_on_the_place(predictor: Predictor) -> None:
    whole = drawn(predictor, TEXTS)
    assert whole == drawn(predictor, TEXTS, batch_size=1) == drawn(predictor, TEXTS, batch_size=4)
    assert len({whole[0], whole[2], whole[4]}) > 1, "equal inputs get draws of their own"
    assert drawn(predictor, [TEXTS[3]]) == [whole[3]]


def test_calls_that_belong_together_draw_as_one_does(predictor: Predictor) -> None:
    whole = drawn(predictor, TEXTS)
    seen: Counter[str] = Counter()
    assert [text for one in TEXTS for text in drawn(predictor, [one], seen=seen)] == whole
    assert seen == Counter(TEXTS)
    assert drawn(predictor, TEXTS[2:3]) == whole[:1], "a call is for itself"


def test_workers_draw_as_one_process_does(predictor: Predictor) -> None:
    try:
        assert drawn(predictor, TEXTS, batch_size=2, workers=2) == drawn(predictor, TEXTS, batch_size=3)
    finally:
        predictor.close()


def test_equal_texts_are_told_apart_and_others_by_all_that_is_read() -> None:
    from seqlens.data.codecs.marks import MarkedText

    marked = [MarkedText("a", tag="x"), MarkedText("a", tag="y"), MarkedText("a", context=["b"]), "a", "a", "\ud800"]
    streams = draw_streams(marked)
    assert len(set(streams)) == len(marked)
    assert draw_streams(marked[::-1])[3:] == streams[:3][::-1]


@pytest.mark.parametrize(("name", "value"), [("batch_size", 0), ("batch_size", -1), ("workers", 0)])
def test_a_number_below_one_is_refused(predictor: Predictor, name: str, value: int) -> None:
    with pytest.raises(RequestError, match=f"'{name}' is {value}, expected 1 or more"):
        predictor.predict(TEXTS, **{name: value})  # type: ignore[call-overload]


def test_a_length_penalty_beyond_what_numbers_hold_is_refused(predictor: Predictor) -> None:
    with pytest.raises(RequestError, match="length_penalty"):
        predictor.predict(TEXTS, length_penalty=1000.0)
    assert predictor.predict(TEXTS[0], length_penalty=10.0).score <= 0
