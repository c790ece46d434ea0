"""Copying, coverage and scheduled sampling as a task has them: settings, loss, answers, a training that is resumed."""

import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from jaxtyping import Float
from torch import Tensor

import seqlens
from seqlens.config import load_config
from seqlens.data.batch import PairBatch, pad
from seqlens.data.examples import Pair
from seqlens.data.text import UNKNOWN_ID, CharactersConfig, SubwordsConfig, TextCodecConfig, WordsConfig
from seqlens.decoding import DecodingConfig
from seqlens.errors import RequestError
from seqlens.models.config import (
    RecurrentDecoderConfig,
    TransducerConfig,
    TransformerDecoderConfig,
    TransformerEncoderConfig,
)
from seqlens.tasks.transduce.answer import Alignment
from seqlens.tasks.transduce.config import SeparateCodecs, SharedCodec, TransduceConfig
from seqlens.tasks.transduce.coverage import coverage_loss
from seqlens.tasks.transduce.demands import Demand
from seqlens.tasks.transduce.pair_loss import shift_right
from seqlens.tasks.transduce.scheduled_sampling import (
    ConstantSampling,
    ExponentialSampling,
    InverseSigmoidSampling,
    LinearSampling,
    SamplingConfig,
    mix_predictions,
    sampling_probability,
)
from seqlens.tasks.transduce.task import TransduceTask
from seqlens.training import FitResult
from seqlens.training.observer import Progress, Validation
from seqlens.training.run_config import RunConfig
from seqlens.workflows.train import TrainingInterrupted

PAIRS = [Pair("the cat sees the dog", "a cat"), Pair("the old dog", "a dog"), Pair("a man", "the man")]
WORDS = WordsConfig()
TRANSFORMER = TransducerConfig(
    embedding_dim=8,
    copy=True,
    encoder=TransformerEncoderConfig(num_layers=1, num_heads=2, positions="learned", max_length=5),
    decoder=TransformerDecoderConfig(num_layers=1, num_heads=2),
)


def fit(text: TextCodecConfig = WORDS, model: TransducerConfig | None = None, **settings: object) -> TransduceTask:
    config = TransduceConfig(
        codec=SharedCodec(text=text),
        model=model or TransducerConfig(embedding_dim=8, copy=True),
        **settings,  # type: ignore[arg-type]
    )
    return TransduceTask.fit(config, lambda: PAIRS)


def batch_of(task: TransduceTask, pairs: list[Pair]) -> PairBatch:
    encoded = [task.encode_pair(pair.source, pair.target or "") for pair in pairs]
    return PairBatch(pad([row for row, _ in encoded]), pad([row for _, row in encoded]), tuple(range(len(pairs))))


STRANGE = [Pair("the zebra sees the xerus", "a xerus zebra 🦓"), Pair("🦓 dog", "dog 🦓"), Pair("a", "a yak")]

# --- copying -----------------------------------------------------------------------------------------------------


def test_copying_needs_a_shared_codec() -> None:
    with pytest.raises(ValueError, match=r"'model\.copy'.*codec\.kind: shared"):
        TransduceConfig(codec=SeparateCodecs(), model=TransducerConfig(copy=True))


@pytest.mark.parametrize("text", [WORDS, CharactersConfig(), SubwordsConfig(vocab_size=40, byte_fallback=False)])
@pytest.mark.parametrize("model", [TransducerConfig(embedding_dim=8, copy=True), TRANSFORMER], ids=["gru", "tf"])
def test_the_loss_is_that_of_the_token_probabilities(text: TextCodecConfig, model: TransducerConfig) -> None:
    task = fit(text, model)
    torch.manual_seed(0)
    net = task.build_model().eval()
    batch = task.fit_positions(net, batch_of(task, STRANGE))
    rows = task.token_log_probs(net, batch)
    loss = task.loss(net, batch)
    assert loss.total.item() == pytest.approx(-sum(sum(row) for row in rows), rel=1e-5)
    alone = [task.loss(net, task.fit_positions(net, batch_of(task, [pair]))).total.item() for pair in STRANGE]
    assert sum(alone) == pytest.approx(loss.total.item(), rel=1e-5)


def test_a_word_that_was_cut_off_cannot_be_copied() -> None:
    task = fit(model=TRANSFORMER)
    net = task.build_model()
    batch = batch_of(task, [Pair("zebra the the the the xerus", "xerus zebra")])
    assert batch.target is not None
    assert [id - task.target_codec.size for id in batch.target.ids[0, :2].tolist()] == [1, 0]
    cut = task.fit_positions(net, batch)
    assert cut.target is not None
    assert cut.target.ids[0].tolist()[:2] == [UNKNOWN_ID, task.target_codec.size]


def test_an_answer_cannot_be_made_to_hold_a_word_that_was_cut_off() -> None:
    task = fit(model=TRANSFORMER)
    net = task.build_model().eval()
    text = "zebra the the the the xerus"
    decoding = DecodingConfig(beam_width=4, max_length=4)
    held = task.predict(net, [text], decoding, demands=[Demand(phrases=("zebra",))])[0]
    assert held.truncated
    assert "zebra" in held.text.split()
    for demand in (Demand(phrases=("xerus",)), Demand(prefix="xerus")):
        with pytest.raises(RequestError, match=r"of input 1, 'xerus', has 'xerus', which the target vocabulary"):
            task.predict(net, [text], decoding, demands=[demand])


def test_answers_name_words_of_their_own_source() -> None:
    """A pointer that only copies, at the first word: every answer repeats the first word of its own source."""
    task = fit(model=TRANSFORMER)
    torch.manual_seed(0)
    net = task.build_model().eval()
    assert net.pointer is not None
    with torch.no_grad():
        net.pointer.gate.weight.zero_()
        net.pointer.gate.bias.fill_(-50.0)
    texts = ["zebra", "xerus 🦓 yak", "", "the dog"]
    decoding = DecodingConfig(beam_width=3, max_length=3)
    together = task.predict(net, texts, decoding)
    for text, answer in zip(texts, together, strict=True):
        assert set(answer.text.split()) <= set(text.split())
        alone = task.predict(net, [text], decoding)[0]
        assert (answer.text, answer.log_prob) == (alone.text, pytest.approx(alone.log_prob, rel=1e-4, abs=1e-4))
    assert "zebra" in together[0].text
    assert together[0].alignment is not None
    assert together[0].alignment.source_tokens == ("zebra", "<end>")


# --- coverage ----------------------------------------------------------------------------------------------------


def test_coverage_is_the_sum_over_the_target() -> None:
    weights: Float[Tensor, "target source"] = torch.tensor([[0.5, 0.5, 0.0], [0.25, 0.75, 0.0]])
    alignment = Alignment(("a", "b", "<end>"), ("x", "y"), weights)
    assert alignment.coverage == (0.75, 1.25, 0.0)


def test_the_coverage_loss_is_the_formula() -> None:
    attention = torch.softmax(torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(1)), dim=2)
    mask = torch.tensor([[True, True, True], [True, True, False]])
    expected = sum(
        min(float(attention[row, t, i]), float(attention[row, :t, i].sum()))
        for row, length in enumerate((3, 2))
        for t in range(length)
        for i in range(4)
    )
    assert coverage_loss(attention, mask).item() == pytest.approx(expected, rel=1e-6)


def test_the_coverage_loss_is_added_in_training_only() -> None:
    model = TransducerConfig(embedding_dim=8, dropout_p=0.0, decoder=RecurrentDecoderConfig(coverage=True))
    task, plain = fit(model=model, coverage_weight=2.0), fit(model=model)
    torch.manual_seed(0)
    net = task.build_model().train()
    batch = batch_of(task, PAIRS)
    with_it, without = task.loss(net, batch), plain.loss(net, batch)
    repeated = with_it.parts["coverage"]
    assert repeated > 0
    assert with_it.total.item() == pytest.approx(without.total.item() + 2.0 * repeated, rel=1e-5)
    assert task.loss(net.eval(), batch).parts.keys() == {"nll"}
    with pytest.raises(ValueError, match="'coverage_weight' is for attention"):
        TransduceConfig(coverage_weight=1.0, model=TransducerConfig(decoder=RecurrentDecoderConfig(attention=None)))


# --- scheduled sampling ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (ConstantSampling(largest_p=0.5, start_step=10), {1: 0.0, 10: 0.0, 11: 0.5, 999: 0.5}),
        (LinearSampling(largest_p=0.5, start_step=10, num_steps=100), {10: 0.0, 60: 0.25, 110: 0.5, 10**9: 0.5}),
        (InverseSigmoidSampling(largest_p=0.5, k=100.0), {100: 0.5 * (1 - 100 / (100 + 2.718281828)), 10**9: 0.5}),
        (ExponentialSampling(largest_p=0.5, base=0.5), {1: 0.25, 2: 0.375, 10**6: 0.5}),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_the_share_of_predictions_follows_its_schedule(config: SamplingConfig, expected: dict[int, float]) -> None:
    for step, probability in expected.items():
        assert sampling_probability(config, step) == pytest.approx(probability)
    rising = [sampling_probability(config, step) for step in range(0, 3000, 7)]
    assert rising == sorted(rising)
    assert 0.0 <= rising[0] <= rising[-1] <= config.largest_p


@pytest.mark.parametrize("model", [TransducerConfig(embedding_dim=8), TRANSFORMER], ids=["gru", "copying transformer"])
def test_a_pass_without_gradients_takes_none_from_the_next(model: TransducerConfig) -> None:
    task = fit(model=model, scheduled_sampling=ConstantSampling(largest_p=0.9))
    torch.manual_seed(0)
    network = task.build_model().train()
    with torch.autocast("cpu", torch.bfloat16):
        task.loss(network, task.fit_positions(network, batch_of(task, PAIRS)), step=5).total.backward()
    assert [name for name, one in network.named_parameters() if one.grad is None or not one.grad.any()] == []


@pytest.mark.parametrize("model", [TransducerConfig(embedding_dim=8), TRANSFORMER], ids=["gru", "copying transformer"])
def test_predictions_stand_where_true_tokens_stood(model: TransducerConfig) -> None:
    task = fit(model=model)
    torch.manual_seed(0)
    net = task.build_model()
    batch = batch_of(task, [Pair("the zebra", "a zebra dog man cat"), Pair("dog", "a")])
    assert batch.target is not None
    inputs, lengths = shift_right(batch.target.ids), batch.target.lengths
    encoded = net.encode(batch.source.ids, batch.source.lengths)
    assert torch.equal(mix_predictions(net, encoded, inputs, lengths, 0.0), inputs)
    torch.manual_seed(1)
    mixed = mix_predictions(net, encoded, inputs, lengths, 1.0)
    torch.manual_seed(1)
    assert torch.equal(mix_predictions(net, encoded, inputs, lengths, 1.0), mixed)
    assert torch.equal(mixed[:, 0], inputs[:, 0])
    real = torch.arange(inputs.shape[1]) < lengths[:, None]
    assert torch.equal(mixed[~real], inputs[~real])
    assert not torch.equal(mixed, inputs)


def test_a_sure_model_reads_what_it_predicts() -> None:
    task = fit(model=TransducerConfig(embedding_dim=8, tie_output=False, dropout_p=0.0))
    net = task.build_model()
    with torch.no_grad():
        net.output.weight.zero_()
        net.output.bias.zero_()
        net.output.bias[7] = 100.0
    inputs, lengths = torch.tensor([[2, 5, 6, 8], [2, 4, 0, 0]]), torch.tensor([4, 2])
    mixed = mix_predictions(net, net.encode(inputs, lengths), inputs, lengths, 1.0)
    assert mixed.tolist() == [[2, 7, 7, 7], [2, 7, 0, 0]]


def test_only_a_training_step_is_sampled() -> None:
    task = fit(
        model=TransducerConfig(embedding_dim=8, dropout_p=0.0), scheduled_sampling=ConstantSampling(largest_p=1.0)
    )
    torch.manual_seed(0)
    net = task.build_model().train()
    batch = batch_of(task, PAIRS)
    plain = task.loss(net, batch).total.item()
    assert task.loss_at(5)(net, batch).total.item() != pytest.approx(plain, rel=1e-6)
    unsampled = replace(task, config=replace(task.config, scheduled_sampling=None))
    assert unsampled.loss(net, batch, step=5).total.item() == plain
    net.eval()
    assert task.loss(net, batch, step=5).total.item() == task.loss(net, batch).total.item()


# --- a whole training --------------------------------------------------------------------------------------------

RECIPE = """
data: {kind: pairs, train: train.tsv, validation: train.tsv, test: train.tsv}
task:
  codec: {kind: shared, text: {kind: words, vocab_size: 12}}
  coverage_weight: 0.5
  scheduled_sampling: {kind: linear, largest_p: 0.8, start_step: 1, num_steps: 5}
  model:
    copy: true
    embedding_dim: 8
    encoder: {kind: recurrent, hidden_dim: 8}
    decoder: {kind: recurrent, hidden_dim: 8, coverage: true}
  decoding: {beam_width: 2}
training: {max_steps: 8, precision: float32, validate_every: 4, optimizer: {kind: adamw, learning_rate: 0.01}}
seed: 3
"""


class Stopping:
    """Asks for an end after a step."""

    def __init__(self, step: int) -> None:
        self._step = step

    def on_step(self, progress: Progress) -> None:
        if progress.step == self._step:
            signal.raise_signal(signal.SIGTERM)

    def on_validation(self, validation: Validation) -> None: ...

    def on_warning(self, text: str) -> None: ...

    def on_end(self, result: FitResult) -> None: ...


def test_a_resumed_training_ends_with_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    words = [f"w{number}" for number in range(30)]
    lines = [f"{a} {b} {c}\t{c} {b}\n" for a, b, c in zip(words, words[3:], words[7:], strict=False)]
    (tmp_path / "train.tsv").write_text("".join(lines))
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    whole = seqlens.train(tmp_path / "recipe.yaml", out=tmp_path / "whole")
    with pytest.raises(TrainingInterrupted):
        seqlens.train(tmp_path / "recipe.yaml", out=tmp_path / "stopped", observer=Stopping(5))
    resumed = seqlens.train(out=tmp_path / "stopped", resume=True)
    names = ("model.safetensors", "log.jsonl", "metrics.json")
    for name in names:
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "stopped" / name).read_bytes()
    texts = ["w1 q w9", "猫 w2"]
    loaded = seqlens.load(tmp_path / "stopped").predict(texts)
    assert [answer.text for answer in loaded] == [answer.text for answer in whole.predictor.predict(texts)]
    assert resumed.result.steps == 8
    scores = seqlens.evaluate(tmp_path / "whole", split="test", write=False)
    assert scores["perplexity"].value > 1


def test_a_wrong_schedule_is_told_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE.replace("kind: linear", "kind: linaer"))
    with pytest.raises(RequestError, match=r"scheduled_sampling.*Did you mean 'linear'"):
        load_config(RunConfig, path)
    path.write_text(RECIPE.replace("coverage: true", "coverage: true, attention: dot"))
    with pytest.raises(RequestError, match="'coverage' needs 'attention: additive'"):
        load_config(RunConfig, path)
