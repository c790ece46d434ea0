"""The tagger: what stands for a word, padding, letters, dropout of words."""

import pytest
import torch
from torch import Tensor

from seqlens.models.config import RecurrentEncoderConfig, TransformerEncoderConfig
from seqlens.models.tagger import WordTagger, build_tagger
from seqlens.models.tagger_config import ConvolutionLettersConfig, RecurrentLettersConfig, TaggerConfig
from seqlens.models.words import RepeatedWords, WordForms

RECURRENT = RecurrentEncoderConfig(hidden_dim=5)
CONFIGS = {
    "lstm, letters by lstm": TaggerConfig(
        embedding_dim=6, letters=RecurrentLettersConfig(embedding_dim=3, hidden_dim=4), feature_dim=2, encoder=RECURRENT
    ),
    "letters by convolution": TaggerConfig(
        embedding_dim=6, letters=ConvolutionLettersConfig(embedding_dim=3, num_filters=4), encoder=RECURRENT
    ),
    "repeated words": TaggerConfig(embedding_dim=6, letters=None, encoder=RECURRENT, repeats=True),
    "words alone": TaggerConfig(embedding_dim=6, letters=None, encoder=RECURRENT, crf=False),
    "transformer": TaggerConfig(
        embedding_dim=6,
        encoder_input_dim=8,
        encoder=TransformerEncoderConfig(num_layers=1, num_heads=2, positions="learned", max_length=9),
    ),
}


def build(config: TaggerConfig, **more: Tensor) -> WordTagger:
    torch.manual_seed(0)
    return build_tagger(config, num_words=9, num_letters=7, num_features=(4, 3), num_tags=3, **more).double().eval()


def forms(seed: int = 0, count: int = 6) -> WordForms:
    generator = torch.Generator().manual_seed(seed)
    counts = torch.randint(1, 5, (count,), generator=generator)
    letters = torch.randint(2, 7, (count, 5), generator=generator)
    features = torch.stack([torch.randint(0, size, (count,), generator=generator) for size in (4, 3)], 1)
    return WordForms(torch.randint(0, 9, (count,), generator=generator), letters, counts, features)


@pytest.mark.parametrize("name", CONFIGS)
def test_padding_of_sentences_and_of_words_is_never_read(name: str) -> None:
    model = build(CONFIGS[name])
    tokens = torch.tensor([[0, 1, 2, 3], [5, 99, -3, 4], [9, 9, 9, 9], [4, 4, 1, 7]])
    lengths = torch.tensor([4, 1, 0, 3])
    words = forms()
    whole = model(tokens, lengths, words).logits
    for row, length in enumerate(lengths.tolist()):
        used, places = tokens[row, :length].unique(return_inverse=True)
        alone = WordForms(words.words[used], words.letters[used], words.letter_counts[used], words.features[used])
        own = model(places[None], lengths[row : row + 1], alone).logits[0]
        torch.testing.assert_close(own, whole[row, :length], rtol=1e-10, atol=1e-12)
    spoiled = words.letters.clone()
    for row, count in enumerate(words.letter_counts.tolist()):
        spoiled[row, count:] = 3
    assert torch.equal(model(tokens, lengths, words._replace(letters=spoiled)).logits, whole)


@pytest.mark.parametrize("name", CONFIGS)
def test_no_words_at_all_are_a_batch(name: str) -> None:
    nothing = forms(count=0)
    logits = build(CONFIGS[name])(torch.zeros(2, 0, dtype=torch.int64), torch.tensor([0, 0]), nothing).logits
    assert logits.shape == (2, 0, 3)


@pytest.mark.parametrize("name", CONFIGS)
def test_everything_that_is_there_is_learned(name: str) -> None:
    config = CONFIGS[name]
    model = build(config).train()
    tokens, lengths = torch.tensor([[0, 1, 0], [3, 4, 5]]), torch.tensor([3, 3])
    logits = model(tokens, lengths, forms()).logits
    loss = model.crf(logits, lengths, torch.tensor([[0, 1, 2], [2, 1, 0]])).sum()
    loss.backward()
    for part, parameter in model.named_parameters():
        learned = config.crf or not part.startswith("crf.")
        assert parameter.requires_grad == learned, part
        assert (parameter.grad is not None and bool((parameter.grad != 0).any())) == learned, part


def test_without_a_crf_only_what_is_forbidden_counts() -> None:
    allowed = torch.tensor([[True, False, True]] * 3)
    scores = build(CONFIGS["words alone"], allowed_transitions=allowed).scores()
    torch.testing.assert_close(scores.transitions, torch.tensor([[0.0, float("-inf"), 0.0]] * 3, dtype=torch.float64))
    assert scores.start.tolist() == scores.end.tolist() == [0, 0, 0]


def test_a_repeated_word_is_told_what_its_other_places_have() -> None:
    torch.manual_seed(0)
    layer = RepeatedWords(2).double()
    vectors = torch.randn(2, 4, 2, dtype=torch.float64)
    tokens, lengths = torch.tensor([[5, 1, 5, 5], [5, 1, 1, 9]]), [4, 3]
    mask = torch.tensor([[True] * 4, [True] * 3 + [False]])
    outputs = layer(vectors, tokens, mask, torch.tensor([0, 1]))
    for row, length in enumerate(lengths):
        for step in range(length):
            others = [vectors[row, at] for at in range(length) if at != step and tokens[row, at] == tokens[row, step]]
            mean = torch.stack(others).mean(0) if others else torch.zeros(2, dtype=torch.float64)
            expected = vectors[row, step] + torch.tanh(layer.mix(torch.cat([vectors[row, step], mean])))
            torch.testing.assert_close(outputs[row, step], expected)
    assert outputs[1, 3].tolist() == [0, 0]
    # Both rows are sentences of one text.
    together = layer(vectors, tokens, mask, torch.tensor([7, 7]))
    mean = torch.stack([vectors[0, 0], vectors[0, 2], vectors[0, 3]]).mean(0)
    expected = vectors[1, 0] + torch.tanh(layer.mix(torch.cat([vectors[1, 0], mean])))
    torch.testing.assert_close(together[1, 0], expected)


def test_rare_words_become_unknown_in_training_only() -> None:
    counts = torch.tensor([0, 0, 1, 10_000, 1, 0, 0, 0, 0])
    model = build(TaggerConfig(embedding_dim=6, letters=None, word_dropout=1.0, encoder=RECURRENT), counts=counts)
    words = torch.tensor([2, 3]).repeat_interleave(400)
    many = WordForms(
        words, torch.zeros(800, 1, dtype=torch.int64), torch.ones(800, dtype=torch.int64), forms(count=800)[3]
    )
    assert torch.equal(model.words(many), model.words.embedding(words))
    model.train()
    torch.manual_seed(1)
    unknown = (model.words(many) == model.words.embedding.weight[1]).all(1)
    assert 140 < int(unknown[:400].sum()) < 260
    assert not bool(unknown[400:].any())


def test_embeddings_start_from_vectors_where_there_are_some() -> None:
    vectors = torch.full((9, 6), float("nan"))
    vectors[3] = torch.arange(6.0)
    model, plain = build(CONFIGS["words alone"], vectors=vectors), build(CONFIGS["words alone"])
    assert model.words.embedding.weight[3].tolist() == [0, 1, 2, 3, 4, 5]
    assert torch.equal(model.words.embedding.weight[4:], plain.words.embedding.weight[4:])
