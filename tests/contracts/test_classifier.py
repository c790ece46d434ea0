"""Classifiers of symbols: every encoder with every way to pool, alone and in any batch."""

from typing import get_args

import pytest
import torch
from torch import Tensor

from seqlens.models.classifier import TokenClassifier, build_classifier
from seqlens.models.classifier_config import ClassifierConfig, PoolingName
from seqlens.models.config import (
    ConvolutionalEncoderConfig,
    EncoderConfig,
    RecurrentEncoderConfig,
    TransformerEncoderConfig,
)
from seqlens.models.reading_frames import ReadingFrames
from seqlens.testing import assert_padding_invariant

VOCAB, CLASSES, DIM = 11, 3, 8
LENGTHS = torch.tensor([5, 0, 7, 1])

ENCODERS: dict[str, EncoderConfig] = {
    "rnn": RecurrentEncoderConfig(cell="rnn", hidden_dim=4),
    "lstm, one direction": RecurrentEncoderConfig(cell="lstm", hidden_dim=5, bidirectional=False),
    "gru, two layers": RecurrentEncoderConfig(cell="gru", hidden_dim=4, num_layers=2, dropout_p=0.5),
    "gru_after": RecurrentEncoderConfig(cell="gru_after", hidden_dim=4),
    "sinusoidal transformer": TransformerEncoderConfig(num_layers=2, num_heads=2),
    "learned transformer": TransformerEncoderConfig(num_layers=1, num_heads=2, positions="learned", max_length=9),
    "convolutional": ConvolutionalEncoderConfig(channels=4, first_kernel=3, kernel=3),
    "rotary transformer": TransformerEncoderConfig(num_layers=1, num_heads=2, positions="rotary"),
}
POOLINGS: list[PoolingName] = list(get_args(PoolingName))
BY_POSITION = ("positions", "frames")
each_model = pytest.mark.parametrize("encoder", ENCODERS)
each_pooling = pytest.mark.parametrize("pooling", POOLINGS)


def random_model(encoder: str, pooling: PoolingName = "summary", **settings: float) -> TokenClassifier:
    torch.manual_seed(0)
    if pooling in BY_POSITION:
        settings = {"num_positions": 6, **settings}
    config = ClassifierConfig(embedding_dim=DIM, encoder=ENCODERS[encoder], pooling=pooling, **settings)  # type: ignore[arg-type]
    return build_classifier(config, vocab_size=VOCAB, num_classes=CLASSES).double().eval()


def random_ids() -> Tensor:
    return torch.randint(0, VOCAB, (4, 7), generator=torch.Generator().manual_seed(1))


@each_model
@each_pooling
def test_padding_never_changes_an_answer(encoder: str, pooling: PoolingName) -> None:
    assert_padding_invariant(random_model(encoder, pooling), (random_ids(), LENGTHS), fills=(0, 7))


@each_model
@each_pooling
def test_what_lies_in_embeddings_at_padding_never_changes_an_answer(encoder: str, pooling: PoolingName) -> None:
    model = random_model(encoder, pooling)
    embedded = torch.randn(4, 7, DIM, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert_padding_invariant(model, (embedded, LENGTHS), call=model.classify_embedded)


@each_model
def test_embeddings_give_the_answer_of_their_ids(encoder: str) -> None:
    model, ids = random_model(encoder), random_ids()
    torch.testing.assert_close(
        model(ids, LENGTHS).logits, model.classify_embedded(model.embedding(ids), LENGTHS).logits
    )


@each_model
def test_the_steps_of_attention_are_weighed_to_one(encoder: str) -> None:
    weights = random_model(encoder, "attention")(random_ids(), LENGTHS).weights
    assert weights is not None
    torch.testing.assert_close(weights.sum(1), torch.tensor([1.0, 0.0, 1.0, 1.0], dtype=torch.float64))
    assert weights[0, 5:].abs().max() == 0


def test_tokens_are_dropped_in_training_only_and_as_often_as_said() -> None:
    model = random_model("rnn", token_dropout_p=0.25)
    seen: list[Tensor] = []
    model.embedding.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    ids, lengths = torch.full((50, 80), 5), torch.full((50,), 80)
    model.train()(ids, lengths)
    model.eval()(ids, lengths)
    assert set(seen[0].unique().tolist()) == {model.unknown_id, 5}
    assert float((seen[0] == model.unknown_id).double().mean()) == pytest.approx(0.25, abs=0.03)
    assert bool((seen[1] == ids).all())


@pytest.mark.parametrize(("given", "expected"), [(None, 25**-0.5), (0.7, 0.7)])
def test_fresh_embeddings_lie_as_far_from_zero_as_said(given: float | None, expected: float) -> None:
    torch.manual_seed(0)
    config = ClassifierConfig(embedding_dim=25, encoder=ENCODERS["rnn"], embedding_std=given)
    weight = build_classifier(config, vocab_size=2000, num_classes=CLASSES).embedding.weight.detach()
    assert float(weight.std()) == pytest.approx(expected, rel=0.02)


def test_a_frame_without_a_word_is_told_from_three_with_it() -> None:
    torch.manual_seed(0)
    frames = ReadingFrames(4, 3, num_words=1).double()
    word = (3, 0, 0)  # T A A
    with torch.no_grad():
        frames.words.bias.fill_(-2.0)
        frames.words.weight.zero_()
        for place, letter in enumerate(word):
            frames.words.weight[0, letter, place] = 1.0
        frames.output.weight.copy_(torch.tensor([[1.0, 0, 0, 0, 0], [0, 1.0, 0, 0, 0], [0, 0, 0, 0, 1.0]]))
        frames.output.bias.fill_(20.0)  # where GELU is the identity
    texts = ["GGTAAGGGGGGG", "TAAGTAAGTAAG", "TAACTAACTAACTAAC", "TAACTAACTAA", "GG", "T"]
    lengths = torch.tensor([len(text) for text in texts])
    ids = torch.tensor([["ACGT".index(letter) for letter in text.ljust(16, "T")] for text in texts])
    found = frames(torch.eye(4, dtype=torch.float64)[ids], lengths)
    assert found[4:].tolist() == [[0, 0, 0], [0, 0, 0]], "too short for a word"
    found = found[:4] - 20
    # The lowest of the strongest answers: 0 where a frame has no such word.
    assert found[:, 0].tolist() == pytest.approx([0, 1, 1, 1])
    assert found[:, 1].tolist() == pytest.approx([1, 1, 1, 1])
    # Means by frame: one of three words and none; four, three and three words; five, five and four.
    assert found[:3, 2].tolist() == pytest.approx([1 / 3 / 3, (1 / 4 + 1 / 3 + 1 / 3) / 3, (2 / 5 + 1 / 5 + 1 / 4) / 3])
