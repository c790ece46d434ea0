"""The task's own parts: the loss, limits on outputs, truncation, baselines, saving."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from seqlens.data.batch import PairBatch, pad
from seqlens.data.examples import Pair
from seqlens.data.text import END_ID, START_ID, CharactersConfig, MarkedText, WordsConfig, fit_codec
from seqlens.decoding import DecodingConfig
from seqlens.errors import WorkError
from seqlens.models.config import TransducerConfig, TransformerDecoderConfig, TransformerEncoderConfig
from seqlens.tasks.transduce.baselines import baselines, nearest_targets
from seqlens.tasks.transduce.config import BleuTokens, SeparateCodecs, SharedCodec, TransduceConfig
from seqlens.tasks.transduce.pair_loss import shift_right
from seqlens.tasks.transduce.positions import cut_source, shortened_context
from seqlens.tasks.transduce.scheduled_sampling import ConstantSampling
from seqlens.tasks.transduce.task import OutputLimit, TransduceTask
from seqlens.tasks.transduce.validation import compute_score

PAIRS = [Pair("ab cd", "x y"), Pair("ef", "z"), Pair("ab ef", "x z")]


def fit(config: TransduceConfig | None = None) -> TransduceTask:
    model = TransducerConfig(embedding_dim=8)
    separate = SeparateCodecs(source=CharactersConfig(), target=WordsConfig())
    return TransduceTask.fit(config or TransduceConfig(codec=separate, model=model), lambda: PAIRS)


def make_batch(task: TransduceTask, pairs: list[Pair]) -> PairBatch:
    source = pad([[*task.source_codec.encode(pair.source), END_ID] for pair in pairs])
    target = pad([[*task.target_codec.encode(pair.target or ""), END_ID] for pair in pairs])
    return PairBatch(source, target, tuple(range(len(pairs))))


def test_the_decoder_reads_start_and_then_all_but_the_last() -> None:
    assert shift_right(torch.tensor([[5, 6, 3], [7, 3, 0]])).tolist() == [[START_ID, 5, 6], [START_ID, 7, 3]]


def test_the_loss_is_plain_cross_entropy_over_real_tokens() -> None:
    task = fit()
    torch.manual_seed(0)
    model = task.build_model().eval()
    batch = make_batch(task, PAIRS)
    assert batch.target is not None
    loss = task.loss(model, batch)
    rows = task.token_log_probs(model, batch)
    assert loss.count == sum(len(row) for row in rows) == int(batch.target.lengths.sum())
    assert loss.total.item() == pytest.approx(-sum(sum(row) for row in rows), rel=1e-5)
    assert loss.parts["nll"] == pytest.approx(loss.total.item(), rel=1e-6)
    alone = sum(task.loss(model, make_batch(task, [pair])).total.item() for pair in PAIRS)
    assert alone == pytest.approx(loss.total.item(), rel=1e-5)


def test_only_training_is_smoothed() -> None:
    task = fit()
    model = task.build_model()
    model.dropout.p = 0.0
    batch = make_batch(task, PAIRS)
    smoothed = task.loss(model.train(), batch)
    assert smoothed.total.item() != pytest.approx(smoothed.parts["nll"], rel=1e-4)


def test_r_drop_reads_twice_and_counts_once() -> None:
    """With nothing dropped both readings are the same, and the loss is that of one."""
    plain = fit()
    twice = replace(plain, config=replace(plain.config, r_drop_weight=5.0))
    torch.manual_seed(0)
    model = plain.build_model().train()
    batch = make_batch(plain, PAIRS)
    model.dropout.p = 0.0
    expected, found = plain.loss(model, batch), twice.loss(model, batch)
    assert found.count == expected.count
    torch.testing.assert_close(found.total, expected.total)
    assert found.parts == pytest.approx({**expected.parts, "divergence": 0.0}, rel=1e-5, abs=1e-4)
    model.dropout.p = 0.5
    assert twice.loss(model, batch).parts["divergence"] > 1e-3
    model.eval()
    assert twice.loss(model, batch).parts == plain.loss(model, batch).parts, "validation reads once"


def test_both_readings_of_r_drop_read_the_same_drawn_words() -> None:
    plain = fit()
    config = replace(plain.config, r_drop_weight=5.0, scheduled_sampling=ConstantSampling(largest_p=0.7))
    task = replace(plain, config=config)
    torch.manual_seed(0)
    model = plain.build_model().train()
    model.dropout.p = 0.0
    batch = make_batch(plain, [Pair("ab cd", "x y z x y z x y z")] * 8)
    found = task.loss_at(10_000)(model, batch)
    assert found.parts["divergence"] == pytest.approx(0.0, abs=1e-4)
    assert found.parts["nll"] != pytest.approx(plain.loss(model, batch).parts["nll"], rel=1e-5), "other words are read"


def test_r_drop_is_not_for_models_that_copy() -> None:
    with pytest.raises(ValueError, match=r"'r_drop_weight'.*'model\.copy'"):
        TransduceConfig(model=TransducerConfig(copy=True), r_drop_weight=5.0)


def test_outputs_may_be_half_as_long_again_as_training_needs() -> None:
    limit = OutputLimit.of(np.array([[10, 20], [10, 5]], dtype=np.int32))
    assert limit.ratio == pytest.approx(3.0, abs=0.05)
    assert limit.of_length(10) == 40
    assert OutputLimit.of(np.zeros((0, 2), dtype=np.int32)) == OutputLimit()


def test_context_does_not_count_for_the_length_of_an_output(tmp_path: Path) -> None:
    texts = [MarkedText("a b", tag="2x", context=["c d e f"] * 4), MarkedText("a b", context=["c d"]), "a"]
    pairs = [Pair(text, "x " * (3 * len(text.split())) + "y") for text in texts]
    config = TransduceConfig(codec=SeparateCodecs(source=WordsConfig(), target=WordsConfig()))
    task = TransduceTask.fit(config, lambda: pairs)
    encoded = [task.encode_pair(pair.source, pair.target or "") for pair in pairs]
    lengths = np.array([[len(source), len(target)] for source, target in encoded])
    task = task.with_output_limit(lengths, [source for source, _ in encoded])
    assert task.output_limit.ratio == pytest.approx(1.5 * 8 / 3, abs=0.01)
    assert {task.longest_answer(source) for source, _ in encoded[:2]} == {22}
    task.save(tmp_path)
    assert TransduceTask.load(config, tmp_path).longest_answer(encoded[0][0]) == 22
    (tmp_path / "output_limit.json").write_text('{"ratio": 2.0, "extra": 10}')  # as earlier versions wrote it
    assert TransduceTask.load(config, tmp_path).longest_answer(encoded[1][0]) == 2 * 6 + 10


def test_a_text_beyond_learned_positions_is_cut_and_marked() -> None:
    model = TransducerConfig(
        embedding_dim=8,
        encoder=TransformerEncoderConfig(num_layers=1, num_heads=2, positions="learned", max_length=6),
        decoder=TransformerDecoderConfig(num_layers=1, num_heads=2, positions="learned", max_length=4),
    )
    task = fit(TransduceConfig(codec=SharedCodec(text=CharactersConfig()), model=model))
    net = task.build_model().eval()
    short, long, empty = task.predict(net, ["ab", "ab cd ab cd", ""], DecodingConfig(beam_width=2))
    assert (short.truncated, long.truncated, empty.truncated) == (False, True, False)
    assert empty.text == ""
    cut = task.predict(net, ["ab cd"], DecodingConfig(beam_width=2))[0]
    assert (cut.text, cut.log_prob) == (long.text, pytest.approx(long.log_prob, rel=1e-5))


def test_answers_do_not_depend_on_the_batch() -> None:
    task = fit()
    torch.manual_seed(1)
    model = task.build_model().eval()
    texts = ["ab", "cd ef ab", "", "ef", "ab cd"]
    together = task.predict(model, texts, batch_size=64)
    alone = [task.predict(model, [text])[0] for text in texts]
    assert [answer.text for answer in together] == [answer.text for answer in alone]
    assert [answer.log_prob for answer in together] == pytest.approx([answer.log_prob for answer in alone], rel=1e-4)


def test_a_saved_task_comes_back_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    task = fit().with_output_limit(np.array([[4, 8]], dtype=np.int32))
    task.save(tmp_path)
    again = TransduceTask.load(task.config, tmp_path)
    assert again.output_limit == task.output_limit
    assert again.source_codec.fingerprint == task.source_codec.fingerprint
    assert again.target_codec.encode("x z") == task.target_codec.encode("x z")
    (tmp_path / "output_limit.json").write_text('{"ratio": 2}')
    with pytest.raises(WorkError, match="output_limit"):
        TransduceTask.load(task.config, tmp_path)


def test_sharing_embeddings_needs_a_shared_codec() -> None:
    with pytest.raises(ValueError, match=r"codec\.kind: shared"):
        TransduceConfig(codec=SeparateCodecs(), model=TransducerConfig(share_embeddings=True))


def test_the_nearest_training_pair_is_the_one_with_the_rare_words() -> None:
    train = [("a man runs", "1"), ("a dog runs", "2"), ("a man sleeps", "3"), ("a cat", "4")]
    assert nearest_targets(["the dog", "Cat", "unknown words"], train) == ("2", "4", "")
    assert [baseline.name for baseline in baselines(["a"], None)] == ["copy the source"]


def test_the_nearest_training_pair_has_the_tag_of_the_source() -> None:
    train = [(MarkedText(text, tag=tag), f"{text} {tag}") for tag in ("2de", "2fr") for text in ("a dog", "a cat")]
    asked = [MarkedText("the cat", tag="2fr"), MarkedText("a dog", tag="2de"), MarkedText("dog", tag="2es"), "cat"]
    assert baselines(asked, train)[1].answers == ("a cat 2fr", "a dog 2de", "a dog 2de", "a cat 2de")


@pytest.mark.parametrize(
    ("tokens", "references", "signature"),
    [
        ("auto", ["die Katze schläft auf dem Sofa"], "tok:13a"),
        ("auto", ["猫在沙发上睡觉", "狗在雪地里奔跑"], "tok:char"),
        ("zh", ["猫在沙发上睡觉", "狗在雪地里奔跑"], "tok:zh"),
        ("13a", ["猫在沙发上睡觉", "狗在雪地里奔跑"], "tok:13a"),
    ],
)
def test_bleu_counts_tokens_that_the_references_have(tokens: BleuTokens, references: list[str], signature: str) -> None:
    answers = [text[:-1] + "x" for text in references]
    score = compute_score("bleu", answers, references, lowercase=False, tokens=tokens)
    assert signature in score.signature
    assert (score.value > 10) == (signature != "tok:13a" or references[0][0] == "d"), "one sign is wrong in each"


MARKED = [
    MarkedText("a b c", tag="2en", context=["d e", "b a"]),
    MarkedText("a b c", context=["d e d e", "b a"]),
    MarkedText("a b c d e", context=["b"]),
    MarkedText("a b"),
]


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (12, ["<2en> d e <break> b a <break> a b c <end>", "d e d e <break> b a <break> a b c <end>"]),
        (8, ["<2en> b a <break> a b c <end>", "b a <break> a b c <end>", "b <break> a b c d e <end>", "a b <end>"]),
        (6, ["<2en> a b c <end>", "a b c <end>", "a b c d e <end>", "a b <end>"]),
        (4, ["<2en> a b <end>", "a b c <end>", "a b c <end>", "a b <end>"]),
    ],
)
def test_context_that_does_not_fit_goes_before_the_text(limit: int, expected: list[str]) -> None:
    codec = fit_codec(WordsConfig(), [*MARKED, "d e"])
    encoded = [[*codec.encode(text), END_ID] for text in MARKED]
    found = [shortened_context(ids, limit, codec) for ids in encoded]
    found = [ids if len(ids) <= limit else [*ids[: limit - 1], END_ID] for ids in found]
    assert [" ".join(codec.token(id) for id in ids) for ids in found][: len(expected)] == expected
    batch = cut_source(pad(encoded), limit, codec)
    rows = [row[:length].tolist() for row, length in zip(batch.ids, batch.lengths, strict=True)]
    assert rows == found
    for ids, expected_ids in zip(encoded, found, strict=True):  # alone a row may become shorter than the limit
        alone = cut_source(pad([ids]), limit, codec)
        assert alone.ids[0, : alone.lengths[0]].tolist() == expected_ids
