"""What `inspect` shows of an answer is what the model wrote."""

from seqlens.inference import load
from seqlens.workflows.inspect import inspect_attention

from .conftest import MakeRun


def test_the_symbols_that_were_written_are_shown(make_run: MakeRun) -> None:
    differing = 0
    for seed, codec in ((1, "words"), (2, "subwords"), (3, "subwords")):
        run = load(make_run(seed, codec=codec), device="cpu")
        for text in ("ein hund", "zwei katzen", "der mann (alt)"):
            answer = run.predict(text, precision="float32")
            assert answer.alignment is not None
            shown = inspect_attention(run, text).attention.target_tokens
            assert shown == answer.alignment.target_tokens + (("<end>",) if answer.finished else ())
            ids = tuple(run.task.target_codec.encode(answer.text))
            differing += ids != answer.alignment.target_ids
    assert differing, "none of these answers is written otherwise than its text is read"
