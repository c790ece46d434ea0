"""Language models of every kind of layer: padding, chunks, steps, the future, and the state that is carried."""

from typing import get_args

import pytest
import torch
from torch import Tensor, nn

from seqlens.cells import CellKind
from seqlens.layers import LSTM
from seqlens.layers.causal_transformer import CausalState, CausalTransformer, _turned_back
from seqlens.models.language_model import (
    LanguageModel,
    LanguageState,
    build_language_model,
    pack_state,
    unpack_state,
)
from seqlens.models.language_model_config import (
    CausalLayersConfig,
    LanguageModelConfig,
    LayersConfig,
    RecurrentLayersConfig,
)
from seqlens.testing import assert_chunks_equal_whole, assert_padding_invariant, assert_steps_equal_whole

VOCAB, DIM = 11, 8

LAYERS: dict[str, LayersConfig] = {
    **{cell: RecurrentLayersConfig(cell=cell, hidden_dim=6) for cell in get_args(CellKind)},
    "two layers": RecurrentLayersConfig(cell="lstm", hidden_dim=DIM, num_layers=2, dropout_p=0.5),
    "sinusoidal transformer": CausalLayersConfig(num_layers=2, num_heads=2, positions="sinusoidal"),
    "learned transformer": CausalLayersConfig(num_layers=1, num_heads=2, positions="learned", max_length=12),
    "post-norm transformer": CausalLayersConfig(num_layers=2, num_heads=2, norm="post"),
    "rotary transformer": CausalLayersConfig(num_layers=2, num_heads=2),
    "windowed transformer": CausalLayersConfig(num_layers=2, num_heads=2, window=3),
    "transformer of window 1": CausalLayersConfig(num_layers=2, num_heads=4, window=1),
}
each_kind = pytest.mark.parametrize("kind", LAYERS)
LENGTHS = torch.tensor([9, 4, 0, 1])


def random_model(kind: str, *, tie_output: bool = True) -> LanguageModel:
    torch.manual_seed(0)
    config = LanguageModelConfig(embedding_dim=DIM, layers=LAYERS[kind], tie_output=tie_output)
    model = build_language_model(config, vocab_size=VOCAB).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.4)
    return model


def random_ids(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(0, VOCAB, shape, generator=torch.Generator().manual_seed(seed))


def logits_and_state(model: LanguageModel) -> object:
    def call(tokens: Tensor, lengths: Tensor | None, state: LanguageState | None) -> tuple[Tensor, LanguageState]:
        output = model(tokens, lengths, state)
        return output.logits, output.state

    return call


@each_kind
@pytest.mark.parametrize("tie_output", [True, False])
def test_padding_never_changes_an_answer(kind: str, tie_output: bool) -> None:
    model = random_model(kind, tie_output=tie_output)

    def call(tokens: Tensor, lengths: Tensor) -> object:
        output = model(tokens, lengths)
        # Keys at padding stay in a Transformer's state, where nothing may look: only recurrent states are by row.
        return output.logits, None if isinstance(output.state, CausalState) else output.state

    assert_padding_invariant(model, (random_ids(4, 9), LENGTHS), call=call, fills=(0, 7))


@each_kind
@pytest.mark.parametrize("chunk_sizes", [[4, 5], [1, 1, 3, 4], [9]])
def test_chunks_equal_the_whole(kind: str, chunk_sizes: list[int]) -> None:
    model = random_model(kind)
    assert_chunks_equal_whole(model, random_ids(4, 9), LENGTHS, chunk_sizes=chunk_sizes, call=logits_and_state(model))
    assert_chunks_equal_whole(model, random_ids(4, 9), chunk_sizes=chunk_sizes, call=logits_and_state(model))


@each_kind
def test_steps_equal_the_whole(kind: str) -> None:
    model = random_model(kind)
    assert_steps_equal_whole(model, random_ids(4, 9), whole=lambda tokens: model(tokens).logits)


@each_kind
def test_steps_go_on_from_a_chunk_with_other_rows(kind: str) -> None:
    """What a search does: rows of a state are chosen, also twice, and go on."""
    model = random_model(kind).eval()
    tokens, rows = random_ids(3, 7), torch.tensor([2, 0, 2])
    expected = model(tokens[rows]).logits[:, 4:]
    state = model(tokens[:, :4]).state.select(rows)
    for step, token in enumerate(tokens[rows][:, 4:].unbind(1)):
        logits, state = model.step(token, state)
        torch.testing.assert_close(logits, expected[:, step], rtol=1e-10, atol=1e-12)


@each_kind
def test_nothing_is_seen_of_later_tokens(kind: str) -> None:
    model = random_model(kind).eval()
    tokens = random_ids(2, 8)
    logits = model(tokens).logits
    for t in range(1, 8):
        later = tokens.clone()
        later[:, t:] = (tokens[:, t:] + 1) % VOCAB
        found = model(later).logits
        torch.testing.assert_close(found[:, :t], logits[:, :t], rtol=1e-12, atol=1e-13)
        assert not torch.allclose(found[:, t], logits[:, t])


@each_kind
def test_a_state_is_packed_and_unpacked_and_detached(kind: str) -> None:
    model = random_model(kind).eval()
    state = model(random_ids(3, 7)).state
    packed = pack_state(state)
    assert all(not tensor.requires_grad for tensor in packed.values())
    restored, detached = unpack_state(model, packed), state.detach()
    tokens = random_ids(3, 4, seed=1)
    expected = model(tokens, None, state)
    for other in (restored, detached):
        assert torch.equal(model(tokens, None, other).logits, expected.logits)
    loss = model(tokens, None, detached).logits.sum()
    loss.backward()  # through nothing before: else the state's own graph would be needed
    other_kind = random_model("two layers" if kind != "two layers" else "gru")
    with pytest.raises(ValueError, match="the carried state holds"):
        unpack_state(other_kind, {**packed, "more": torch.zeros(1)})


@each_kind
def test_nothing_at_all_is_a_batch_too(kind: str) -> None:
    model = random_model(kind).eval()
    assert model(random_ids(0, 5)).logits.shape == (0, 5, VOCAB)
    assert model(random_ids(2, 0), torch.tensor([0, 0])).logits.shape == (2, 0, VOCAB)


@pytest.mark.parametrize("kind", ["lstm", "windowed transformer"])
def test_the_loss_is_that_of_the_logits(kind: str) -> None:
    model = random_model(kind).eval()
    tokens = random_ids(3, 6)
    output = model(tokens)
    targets = random_ids(3, 6, seed=1).flatten()
    loss = output.vocabulary.select(torch.arange(18)).loss(targets)
    expected = nn.functional.cross_entropy(output.logits.flatten(0, 1), targets, reduction="sum")
    torch.testing.assert_close(loss.total, expected)


# --- the window ----------------------------------------------------------------------------------------------------


def test_a_window_bounds_the_state_and_what_is_seen() -> None:
    model = random_model("windowed transformer").eval()
    state = model.initial_state(2)
    for token in random_ids(2, 40).unbind(1):
        _, state = model.step(token, state)
    assert isinstance(state, CausalState)
    assert [keys.keys.shape[2] for keys in state.layers] == [3, 3]
    tokens = random_ids(1, 9)
    early = tokens.clone()
    early[:, 0] = (tokens[:, 0] + 1) % VOCAB
    same = torch.isclose(model(tokens).logits, model(early).logits, rtol=1e-12).all(2)[0]
    # Two layers reach twice three steps back.
    assert same.tolist() == [False] * 7 + [True] * 2


def test_a_text_of_any_length_keeps_its_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rotary keys are turned back now and then, which changes no score."""
    monkeypatch.setattr("seqlens.layers.causal_transformer._LARGEST_POSITION", 10)
    model = random_model("windowed transformer")
    tokens = random_ids(2, 60)
    assert_steps_equal_whole(model, tokens, whole=lambda given: model(given).logits)
    state = model(tokens).state
    assert isinstance(state, CausalState)
    assert state.position < 20


def test_keys_are_not_turned_back_at_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """However large the window is: each time costs a copy of all keys, and rounds them."""
    monkeypatch.setattr("seqlens.layers.causal_transformer._LARGEST_POSITION", 2)
    turned: list[int] = []

    def counted(keys: Tensor, by: int) -> Tensor:
        turned.append(by)
        return _turned_back(keys, by)

    monkeypatch.setattr("seqlens.layers.causal_transformer._turned_back", counted)
    model = random_model("windowed transformer").eval()  # two layers, a window of 3
    state = model.initial_state(2)
    for token in random_ids(2, 31).unbind(1):
        _, state = model.step(token, state)
    assert 0 < len(turned) <= 2 * 31 // 3


def test_a_shorter_sequence_cannot_go_on() -> None:
    model = random_model("rotary transformer").eval()
    state = model(random_ids(2, 4), torch.tensor([4, 3])).state
    model(random_ids(2, 4), torch.tensor([4, 0]), state)
    with pytest.raises(ValueError, match="has ended: it cannot go on"):
        model(random_ids(2, 4), torch.tensor([4, 1]), state)
    with pytest.raises(ValueError, match="has ended: it cannot go on"):
        model(random_ids(2, 4), None, state)
    with pytest.raises(ValueError, match="has ended: it cannot go on"):
        model.step(random_ids(2, 1)[:, 0], state)
    first = state.select(torch.tensor([0]))
    model.step(random_ids(1, 1)[:, 0], first)


def test_what_cannot_be_a_language_model_is_refused() -> None:
    with pytest.raises(ValueError, match="needs layers of one direction"):
        LanguageModel(LSTM(8, 8, bidirectional=True), vocab_size=5, embedding_dim=8)
    with pytest.raises(ValueError, match=r"'window' lets a text go on.*'positions: rotary', but it is 'learned'"):
        CausalLayersConfig(window=8, positions="learned")


def test_only_what_has_a_bounded_state_goes_on_for_ever() -> None:
    bounded = {kind: random_model(kind).has_bounded_state for kind in LAYERS}
    assert bounded == {
        kind: not isinstance(config, CausalLayersConfig) or config.window is not None for kind, config in LAYERS.items()
    }
    assert random_model("learned transformer").max_length == 12
    assert "attention" in random_model("rotary transformer").explain()
    assert random_model("lstm").explain()
    assert CausalTransformer(8, num_layers=1, norm="post").final_norm(torch.ones(1)).item() == 1


def test_a_causal_transformer_is_exported_with_lengths() -> None:
    layer = CausalTransformer(8, num_layers=1, num_heads=2).eval()

    class Outputs(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = layer

        def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
            outputs: Tensor = self.layer(inputs, lengths)[0]
            return outputs

    inputs, lengths = torch.randn(3, 5, 8), torch.tensor([5, 2, 0])
    exported = torch.export.export(Outputs(), (inputs, lengths)).module()
    for other in (lengths, torch.tensor([1, 5, 4])):
        torch.testing.assert_close(exported(inputs, other), layer(inputs, other)[0])
