"""The task `generate`: batches, the loss with carried state, measures, samples, answers."""

import json
import math
import signal
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from seqlens.data.examples import Place
from seqlens.data.language.records import Document
from seqlens.data.text import END_ID, START_ID, CharactersConfig, SubwordsConfig, TextCodecConfig, WordsConfig
from seqlens.errors import RequestError, WorkError
from seqlens.metrics import paired_bootstrap
from seqlens.models.language_model import LanguageModel
from seqlens.models.language_model_config import CausalLayersConfig, LanguageModelConfig, RecurrentLayersConfig
from seqlens.tasks.generate.config import GenerateConfig
from seqlens.tasks.generate.datasets import LineDataset, StreamDataset, StreamSampler, TextBatch, TextSize
from seqlens.tasks.generate.measures import size_of
from seqlens.tasks.generate.task import GenerateTask
from seqlens.tasks.loss_sum import LossSum
from seqlens.training import TrainingConfig, fit

LINES = [Document(text) for text in ("anna", "bo", "an", "nabob", "banana", "o")]
STORY = [
    Document("a cat sat on a mat. ", Place("story.txt", 1), ends=False),
    Document("a rat ran at a cat.\n", Place("story.txt", 2), continues=True, ends=False),
    Document("so a cat sat on a rat.\n", Place("story.txt", 3), continues=True, ends=False),
]
LSTM = LanguageModelConfig(embedding_dim=8, layers=RecurrentLayersConfig(hidden_dim=12), dropout_p=0.0)
TRANSFORMER = LanguageModelConfig(
    embedding_dim=8, layers=CausalLayersConfig(num_layers=2, num_heads=2, window=6, dropout_p=0.0), dropout_p=0.0
)
MODELS = {"lstm": LSTM, "transformer": TRANSFORMER}
each_model = pytest.mark.parametrize("model", MODELS)


def make(
    documents: list[Document], model: str = "lstm", codec: TextCodecConfig | None = None, **settings: Any
) -> tuple[GenerateTask, LanguageModel]:
    config = GenerateConfig(codec=codec or CharactersConfig(), model=MODELS[model], **settings)
    task = GenerateTask.fit(config, lambda: documents)
    torch.manual_seed(0)
    return task, task.build_model().double().eval()


# --- batches -------------------------------------------------------------------------------------------------------


def test_a_line_is_read_from_its_start_and_predicted_to_its_end() -> None:
    task, _ = make(LINES)
    data = task.encode(LINES, training=True, seed=0)
    assert isinstance(data, LineDataset)
    assert data.lengths.tolist() == [5, 3, 3, 6, 7, 2]
    batch = data.batch([0, 5])
    ids = task.codec.encode("anna")
    assert batch.inputs.ids[0].tolist() == [START_ID, *ids]
    assert batch.targets[0].tolist() == [*ids, END_ID]
    assert batch.inputs.lengths.tolist() == [5, 2]
    assert not batch.continues
    seen = np.concatenate(data.sampler(max_tokens=14, seed=0).epoch_batches(0))
    assert sorted(seen.tolist()) == list(range(6))


@pytest.mark.parametrize("max_tokens", [1, 5, 12, 20, 1000])
def test_streams_are_the_text_and_go_on_row_by_row(max_tokens: int) -> None:
    task, _ = make(STORY, window=5)
    data = task.encode(STORY, training=True, seed=0)
    assert isinstance(data, StreamDataset)
    text = task.codec.encode("".join(document.text for document in STORY))
    streams: dict[int, list[int]] = {}
    rows_before = 10**9
    for number, indices in enumerate(data.sampler(max_tokens=max_tokens, seed=0).epoch_batches(0)):
        batch = data.batch(indices)
        assert batch.continues == (number > 0)
        assert len(indices) <= rows_before
        rows_before = len(indices)
        for row, length in enumerate(batch.inputs.lengths.tolist()):
            read = batch.inputs.ids[row, :length].tolist()
            stream = streams.setdefault(row, [])
            # What is read is what was predicted one place before; a stream begins without a past.
            before = stream[-1] if stream else START_ID
            stream += batch.targets[row, :length].tolist()
            assert read == [before, *stream[-length:-1]]
    assert [token for row in sorted(streams) for token in streams[row]] == text
    assert len(streams) == min(max(1, max_tokens // 5), -(-len(text) // 5))


def test_a_plan_of_streams_goes_on_where_it_was() -> None:
    sampler = StreamSampler(11, 4)
    assert [len(rows) for rows in sampler.epoch_batches(0)] == [4, 4, 3]
    taken = [next(sampler).tolist() for _ in range(5)]
    assert taken[3] == taken[0]
    assert sampler.epoch == 1
    again = StreamSampler(11, 4)
    again.load_state_dict(sampler.state_dict())
    assert [next(again).tolist() for _ in range(4)] == [next(sampler).tolist() for _ in range(4)]
    assert sampler.state_dict()["epochs_ended"] == 3
    with pytest.raises(RequestError, match=r"'task\.window' or 'batches\.max_tokens' have changed"):
        StreamSampler(11, 3).load_state_dict(sampler.state_dict())
    with pytest.raises(RequestError, match="data is empty"):
        StreamSampler(0, 3)


# --- the loss ------------------------------------------------------------------------------------------------------


@each_model
@pytest.mark.parametrize("max_tokens", [5, 15])
def test_the_carried_state_makes_one_text_of_the_windows(model: str, max_tokens: int) -> None:
    task, net = make(STORY, model, window=5)
    data = task.encode(STORY, training=True, seed=0)
    assert isinstance(data, StreamDataset)
    carried = task.carried_state(net)
    total, apart, count = 0.0, 0.0, 0
    streams: dict[int, list[int]] = {}
    for indices in data.sampler(max_tokens=max_tokens, seed=0).epoch_batches(0):
        batch = data.batch(indices)
        loss = task.loss(net, batch, carried)
        total, count = total + loss.total.item(), count + loss.count
        apart += task.loss(net, batch).total.item()
        for row, length in enumerate(batch.inputs.lengths.tolist()):
            streams.setdefault(row, []).extend(batch.targets[row, :length].tolist())
    expected = 0.0
    for stream in streams.values():
        inputs = torch.tensor([[START_ID, *stream[:-1]]])
        logits = net(inputs).logits[0]
        expected += nn.functional.cross_entropy(logits, torch.tensor(stream), reduction="sum").item()
    assert count == len(data.tokens)
    assert total == pytest.approx(expected, rel=1e-10)
    assert abs(apart - expected) > 1e-4


def test_no_gradient_flows_into_the_window_before() -> None:
    task, net = make(STORY, window=5)
    data = task.encode(STORY, training=True, seed=0)
    carried = task.carried_state(net)
    batches = data.sampler(max_tokens=5, seed=0).epoch_batches(0)
    task.loss(net, data.batch(batches[0]), carried).total.backward()
    task.loss(net, data.batch(batches[1]), carried).total.backward()  # would need the first graph, which is gone


def test_a_batch_that_continues_nothing_is_refused() -> None:
    task, net = make(STORY, window=5)
    data = task.encode(STORY, training=True, seed=0)
    with pytest.raises(RuntimeError, match="no state was carried"):
        task.loss(net, data.batch([1]), task.carried_state(net))


@each_model
def test_training_resumed_from_a_carried_state_ends_in_the_same_weights(model: str, tmp_path: Path) -> None:
    task, _ = make(STORY, model, window=3)
    data = task.encode(STORY, training=True, seed=0)

    class Batches:
        """Without a thread, so that a signal comes at a known step."""

        def __init__(self) -> None:
            self.sampler = data.sampler(max_tokens=6, seed=0)

        @property
        def epoch(self) -> int:
            return int(self.sampler.state_dict()["epochs_ended"])

        def __next__(self) -> TextBatch:
            return data.batch(next(self.sampler))

        def state_dict(self) -> dict[str, Any]:
            return dict(self.sampler.state_dict())

        def load_state_dict(self, state: Mapping[str, Any]) -> None:
            self.sampler.load_state_dict(state)

    def train(folder: Path, stop_at: int | None) -> bytes:
        torch.manual_seed(1)
        net = task.build_model()
        carried = task.carried_state(net)
        calls = 0

        def compute(module: nn.Module, batch: TextBatch) -> LossSum:
            nonlocal calls
            calls += 1
            if calls == stop_at:
                signal.raise_signal(signal.SIGTERM)
            return task.loss(module, batch, carried)

        fit(
            net,
            compute_loss=compute,
            batches=Batches(),
            batches_per_epoch=8,
            validate=lambda module: task.validate(module, data, "cpu"),
            config=TrainingConfig(max_steps=14, validate_every=5),
            folder=folder,
            seed=0,
            resume=True,
            carried=carried,
        )
        newest = max(folder.glob("checkpoints/step-*"))
        return b"".join((newest / f"{part}.safetensors").read_bytes() for part in ("model", "optimizer", "carried"))

    whole = train(tmp_path / "whole", None)
    for stop_at in (2, 7, 9):
        train(tmp_path / f"stopped-{stop_at}", stop_at)
        assert train(tmp_path / f"stopped-{stop_at}", None) == whole


# --- measures --------------------------------------------------------------------------------------------------------


@each_model
def test_lines_are_measured_alone_and_together_alike(model: str) -> None:
    task, net = make(LINES, model)
    together = task.predict(net, LINES)
    for document, answer in zip(LINES, together, strict=True):
        ids = task.codec.encode(document.text)
        logits = net(torch.tensor([[START_ID, *ids]])).logits[0]
        expected = torch.log_softmax(logits, 1)[torch.arange(len(ids) + 1), torch.tensor([*ids, END_ID])]
        assert list(answer.log_probs) == pytest.approx(expected.tolist(), rel=1e-9)
        assert answer.num_characters == len(document.text) + 1
        assert answer.tokens[-1] == "<end>"


@each_model
def test_a_running_text_is_measured_as_one_whatever_its_blocks(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    task, net = make(STORY, model, window=5)
    blocks = task.predict(net, STORY)
    whole = task.predict(net, [Document("".join(document.text for document in STORY), ends=False)])[0]
    assert [one for block in blocks for one in block.log_probs] == pytest.approx(list(whole.log_probs), rel=1e-9)
    monkeypatch.setattr("seqlens.tasks.generate.scoring.CHUNK", 7)
    chunked = task.predict(net, STORY)
    assert [block.log_prob for block in chunked] == pytest.approx([block.log_prob for block in blocks], rel=1e-9)
    # A document that does not continue is read afresh.
    alone = task.predict(net, [replace(STORY[1], continues=False)])[0]
    assert alone.log_probs[0] != pytest.approx(blocks[1].log_probs[0], rel=1e-6)
    assert sum(block.num_characters for block in blocks) == sum(len(document.text) for document in STORY)


@pytest.mark.parametrize("documents", [LINES, STORY])
def test_an_outsider_gets_the_scores_from_the_file(documents: list[Document]) -> None:
    task, net = make(documents, window=100)
    answers = task.predict(net, documents)
    found = task.statistics(documents, answers)
    files = task.prediction_files(documents, answers)
    records = [json.loads(line) for line in files["predictions.jsonl"].splitlines()]
    nats = sum(record["unknown_nats"] - sum(record["log_probs"]) for record in records)
    characters = sum(record["characters"] for record in records)
    assert found["bits_per_character"].value() == pytest.approx(nats / math.log(2) / characters, rel=1e-12)
    tokens = sum(len(record["tokens"]) for record in records)
    assert found["perplexity"].value() == pytest.approx(math.exp(nats / tokens), rel=1e-12)
    metrics = task.validate(net, task.encode(documents, training=False, seed=0), "cpu")
    assert metrics["loss"] == pytest.approx(nats / tokens, rel=1e-9)
    assert metrics["bits_per_character"] == pytest.approx(nats / math.log(2) / characters, rel=1e-9)


def test_unknown_pieces_are_spelled_out() -> None:
    task, net = make(LINES)
    assert size_of(task.codec, "añb", ended=True) == TextSize(4, 3 * math.log(257))
    known, unknown = task.predict(net, [Document("anb"), Document("añb")])
    assert unknown.unknown_nats == pytest.approx(3 * math.log(257))
    assert known.unknown_nats == 0
    assert unknown.log_prob == pytest.approx(sum(unknown.log_probs) - unknown.unknown_nats)


@pytest.mark.parametrize(
    "codec", [CharactersConfig(), WordsConfig(), SubwordsConfig(vocab_size=270)], ids=lambda codec: codec.kind
)
def test_bits_per_character_compare_across_codecs(codec: TextCodecConfig) -> None:
    task, net = make(STORY, codec=codec, window=8)
    other, other_net = make(STORY, window=8)
    found = task.statistics(STORY, task.predict(net, STORY))["bits_per_character"]
    expected = other.statistics(STORY, other.predict(other_net, STORY))["bits_per_character"]
    assert found.per_example[:, 1].tolist() == expected.per_example[:, 1].tolist()
    paired_bootstrap(found, expected, num_resamples=10)


@pytest.mark.parametrize("documents", [LINES, STORY])
def test_the_baseline_is_measured_on_the_same_symbols(documents: list[Document]) -> None:
    task, net = make(documents, window=8)
    ours = task.statistics(documents, task.predict(net, documents))
    ((name, theirs),) = task.baselines(documents * 8, documents).items()
    assert name.startswith("Kneser-Ney")
    for measure in ("bits_per_character", "perplexity"):
        assert theirs[measure].value() < ours[measure].value()  # it has seen them, the model has fresh weights
        paired_bootstrap(ours[measure], theirs[measure], num_resamples=10)


# --- answers ---------------------------------------------------------------------------------------------------------


def sampled(task: GenerateTask, net: LanguageModel, text: str, **settings: Any) -> Any:
    return task.predict(net, [text], settings=task.read_settings(settings))[0]


@each_model
@pytest.mark.parametrize("documents", [LINES, STORY])
def test_samples_begin_with_the_prompt_and_have_the_models_probability(model: str, documents: list[Document]) -> None:
    task, net = make(documents, model)
    answer = sampled(task, net, "an", num_samples=3, max_tokens=12, temperature=0.5, top_k=4)
    assert len(answer.samples) == 3
    assert (answer.end_log_prob is None) == task.running
    for sample in answer.samples:
        assert sample.text.startswith("an")
        assert not (task.running and sample.finished)
        ids = task.codec.encode(sample.text)
        wanted = [*ids, END_ID] if sample.finished else ids
        log_probs = torch.log_softmax(net(torch.tensor([[START_ID, *ids]])).logits[0], 1)
        drawn = [log_probs[place, token].item() for place, token in enumerate(wanted)][2:]
        assert sample.log_prob == pytest.approx(sum(drawn), rel=1e-5)
        assert len(ids) <= 14


def test_a_seed_gives_the_same_samples_whatever_stands_beside() -> None:
    task, net = make(LINES)
    alone = sampled(task, net, "b", num_samples=5, seed=3)
    beside = task.predict(net, ["anna", "b"], settings={"num_samples": 5, "seed": 3})[1]
    assert alone.samples == beside.samples
    assert sampled(task, net, "b", num_samples=5, seed=4).samples != alone.samples


def test_temperature_0_and_top_k_1_are_greedy_and_a_longer_limit_goes_on() -> None:
    task, net = make(STORY, window=8)
    greedy = sampled(task, net, "a ", temperature=0, max_tokens=20).samples[0]
    assert sampled(task, net, "a ", top_k=1, max_tokens=20, seed=9).samples[0].text == greedy.text
    longer = sampled(task, net, "a ", temperature=0, max_tokens=40).samples[0]
    assert longer.text.startswith(greedy.text)
    assert len(longer.text) == 42


def test_an_empty_prompt_and_no_sample_are_answered() -> None:
    task, net = make(LINES)
    empty = sampled(task, net, "")
    assert empty.log_probs == ()
    assert empty.log_prob == 0
    none = sampled(task, net, "anna", num_samples=0)
    assert none.samples == ()
    assert str(none) == f"{none.log_prob:.3f}\tanna"
    whole = task.predict(net, [Document("anna")])[0]
    assert none.log_prob + none.end_log_prob == pytest.approx(whole.log_prob, rel=1e-9)


def test_an_answer_is_plain_json_and_a_line() -> None:
    task, net = make(LINES)
    answer = sampled(task, net, "an", num_samples=2, max_tokens=5)
    plain = json.loads(json.dumps(answer.to_plain()))
    assert plain["text"] == "an"
    assert plain["tokens"] == ["a", "n"]
    assert sum(plain["token_log_probs"]) == pytest.approx(plain["log_prob"])
    assert [sample["text"] for sample in plain["samples"]] == str(answer).split("\t")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temprature": 1.0}, "temprature.*temperature"),
        ({"top_p": 1.5}, "top_p"),
        ({"num_samples": -1}, "num_samples"),
        ({"top_k": "many"}, "top_k"),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, Any], message: str) -> None:
    task, _ = make(LINES)
    with pytest.raises(RequestError, match=message):
        task.read_settings(settings)


# --- what is fitted --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("documents", [LINES, STORY])
def test_a_task_is_saved_and_loaded(documents: list[Document], tmp_path: Path) -> None:
    task, _ = make(documents)
    task.save(tmp_path)
    loaded = GenerateTask.load(task.config, tmp_path)
    assert loaded.running == task.running == (documents is STORY)
    assert loaded.codec.fingerprint == task.codec.fingerprint
    assert "generate" in loaded.describe()["task"]
    (tmp_path / "text.json").write_text("[]")
    with pytest.raises(WorkError, match=r"text\.json is damaged: expected 'running'"):
        GenerateTask.load(task.config, tmp_path)


def test_a_transformer_without_a_window_cannot_learn_a_running_text() -> None:
    config = GenerateConfig(model=LanguageModelConfig(layers=CausalLayersConfig()))
    GenerateTask.fit(config, lambda: LINES)
    with pytest.raises(RequestError, match=r"needs 'task\.model\.layers\.window'"):
        GenerateTask.fit(config, lambda: STORY)


@pytest.mark.parametrize(
    "use",
    [
        lambda task, net: task.encode([Document("bananas", Place("names.txt", 7))], training=True, seed=0),
        lambda task, net: task.predict(net, ["bananas"]),
    ],
    ids=["training", "predict"],
)
def test_what_learned_positions_do_not_reach_is_said(use: Callable[[GenerateTask, LanguageModel], Any]) -> None:
    layers = CausalLayersConfig(num_layers=1, num_heads=2, positions="learned", max_length=7)
    config = GenerateConfig(model=LanguageModelConfig(embedding_dim=8, layers=layers))
    task = GenerateTask.fit(config, lambda: LINES)
    net = task.build_model().eval()
    assert len(task.predict(net, ["banana"], settings={"max_tokens": 50})[0].samples[0].text) >= 6
    # What fills the positions to the last one can be gone on with by a token, in every sample.
    drawn = task.predict(net, ["banana", "ba"], settings={"max_tokens": 50, "num_samples": 30, "temperature": 3.0})
    assert [len(one.samples) for one in drawn] == [30, 30]
    assert max(len(sample.text) for sample in drawn[0].samples) == 7
    assert max(len(sample.text) for sample in drawn[1].samples) == 7
    with pytest.raises(RequestError, match=r"(names\.txt line 7|Input 1) has 8 tokens with its start, more than the 7"):
        use(task, net)
