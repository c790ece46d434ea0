"""Every encoder with every decoder: padding is never seen, and a search may reorder what it likes."""

import copy
from dataclasses import replace
from typing import get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from seqlens.cells import CellKind
from seqlens.layers import ScoreKind
from seqlens.models.config import (
    DecoderConfig,
    EncoderConfig,
    RecurrentDecoderConfig,
    RecurrentEncoderConfig,
    TransducerConfig,
    TransformerDecoderConfig,
    TransformerEncoderConfig,
)
from seqlens.models.transducer import Transducer, VocabularyOutput, build_transducer
from seqlens.testing import assert_padding_invariant, assert_same_function, assert_steps_equal_whole
from tests.draws import draws

SOURCE_SIZE, TARGET_SIZE, DIM = 11, 9, 8

ENCODERS: dict[str, EncoderConfig] = {
    "rotary transformer": TransformerEncoderConfig(num_layers=2, num_heads=2, positions="rotary"),
    **{cell: RecurrentEncoderConfig(cell=cell, hidden_dim=DIM // 2) for cell in get_args(CellKind)},
    "two layers one way": RecurrentEncoderConfig(hidden_dim=DIM, num_layers=2, bidirectional=False),
    "transformer": TransformerEncoderConfig(num_layers=2, num_heads=2),
    "post-norm learned transformer": TransformerEncoderConfig(
        num_layers=1, num_heads=2, norm="post", positions="learned", max_length=12
    ),
}
DECODERS: dict[str, DecoderConfig] = {
    "rotary transformer": TransformerDecoderConfig(num_layers=2, num_heads=2, positions="rotary"),
    **{cell: RecurrentDecoderConfig(cell=cell, hidden_dim=5) for cell in get_args(CellKind)},
    **{score: RecurrentDecoderConfig(hidden_dim=DIM, attention=score) for score in get_args(ScoreKind)},
    "bottleneck": RecurrentDecoderConfig(cell="lstm", hidden_dim=5, num_layers=2, attention=None),
    "input feeding": RecurrentDecoderConfig(cell="lstm", hidden_dim=5, num_layers=2, input_feeding=True),
    "coverage": RecurrentDecoderConfig(hidden_dim=5, coverage=True),
    "coverage and input feeding": RecurrentDecoderConfig(cell="lstm", hidden_dim=5, coverage=True, input_feeding=True),
    "multi-head": RecurrentDecoderConfig(hidden_dim=6, attention="multi_head", num_heads=3),
    "copying": RecurrentDecoderConfig(hidden_dim=5),
    "copying by many heads": RecurrentDecoderConfig(
        hidden_dim=6, attention="multi_head", num_heads=2, input_feeding=True
    ),
    "copying transformer": TransformerDecoderConfig(num_layers=1, num_heads=2),
    "transformer": TransformerDecoderConfig(num_layers=2, num_heads=2),
    "post-norm learned transformer": TransformerDecoderConfig(
        num_layers=1, num_heads=2, norm="post", positions="learned", max_length=12
    ),
}

each_encoder = pytest.mark.parametrize("encoder", ENCODERS)
each_decoder = pytest.mark.parametrize("decoder", DECODERS)


def random_model(encoder: str, decoder: str, dtype: torch.dtype = torch.float64) -> Transducer:
    torch.manual_seed(0)
    copy = decoder.startswith("copying")
    config = TransducerConfig(embedding_dim=DIM, encoder=ENCODERS[encoder], decoder=DECODERS[decoder], copy=copy)
    # The last ids of a source are then unknown words, which follow the vocabulary.
    source_size = TARGET_SIZE if copy else SOURCE_SIZE
    model = build_transducer(config, source_size=source_size, target_size=TARGET_SIZE)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.4)
    return model.to(dtype).eval()


def random_ids(size: int, *shape: int, seed: int = 0) -> Tensor:
    return torch.randint(0, size, shape, generator=torch.Generator().manual_seed(seed))


SOURCE_LENGTHS = torch.tensor([3, 0, 5, 1])


def comparable(logits: Tensor) -> Tensor:
    """Logits with a column for every unknown word of any batch, and 0 instead of -inf for what a source lacks."""
    return nn.functional.pad(logits, (0, max(0, SOURCE_SIZE - logits.shape[-1]))).masked_fill(logits_dead(logits), 0.0)


def logits_dead(logits: Tensor) -> Tensor:
    missing = max(0, SOURCE_SIZE - logits.shape[-1])
    return nn.functional.pad(logits.isneginf(), (0, missing), value=True)


# --- padding -----------------------------------------------------------------------------------------------------


@each_encoder
@each_decoder
def test_padding_never_changes_an_answer(encoder: str, decoder: str) -> None:
    model = random_model(encoder, decoder)

    def run(source: Tensor, source_lengths: Tensor, target: Tensor, target_lengths: Tensor) -> object:
        weights: list[Tensor] = []
        encoded = model.encode(source, source_lengths)
        return encoded, comparable(model.decode(encoded, target, target_lengths, weights).logits), weights

    assert_padding_invariant(
        model,
        (random_ids(SOURCE_SIZE, 4, 5), SOURCE_LENGTHS),
        (random_ids(TARGET_SIZE, 4, 4, seed=1), torch.tensor([2, 3, 0, 4])),
        call=run,
        fills=(0, 7),
    )


@each_encoder
def test_embedded_sources_may_hold_anything_at_padding(encoder: str) -> None:
    model = random_model(encoder, "gru")
    embedded = torch.randn(4, 5, DIM, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    assert_padding_invariant(model, (embedded, SOURCE_LENGTHS), call=model.encode_embedded)


@each_encoder
def test_encoding_is_embedding_and_encoding(encoder: str) -> None:
    model = random_model(encoder, "gru")
    source = random_ids(SOURCE_SIZE, 4, 5)
    encoded = model.encode(source, SOURCE_LENGTHS)
    embedded = model.encode_embedded(model.embed_source(source), SOURCE_LENGTHS)
    assert torch.equal(encoded.memory, embedded.memory)
    assert torch.equal(encoded.summary, embedded.summary)
    for row, length in enumerate(SOURCE_LENGTHS.tolist()):
        assert not encoded.memory[row, length:].any(), "memory is zero at padding"


@each_decoder
@pytest.mark.parametrize("encoder", ["gru", "transformer"])
def test_nothing_at_all_is_a_batch_too(encoder: str, decoder: str) -> None:
    model = random_model(encoder, decoder)
    none = torch.zeros(0, dtype=torch.int64)
    empty = model(random_ids(SOURCE_SIZE, 0, 5), none, random_ids(TARGET_SIZE, 0, 4), none)
    assert empty.logits.shape == (0, 4, TARGET_SIZE)
    no_steps = model(
        random_ids(SOURCE_SIZE, 2, 0), torch.tensor([0, 0]), random_ids(TARGET_SIZE, 2, 0), torch.tensor([0, 0])
    )
    assert no_steps.logits.shape == (2, 0, TARGET_SIZE)


# --- gradients ---------------------------------------------------------------------------------------------------


@each_encoder
@each_decoder
def test_every_weight_takes_part(encoder: str, decoder: str) -> None:
    model = random_model(encoder, decoder).train()
    lengths = torch.tensor([3, 5, 4])
    output = model(random_ids(SOURCE_SIZE, 3, 5), lengths, random_ids(TARGET_SIZE, 3, 4), torch.tensor([4, 2, 3]))
    comparable(output.logits).square().mean().backward()
    idle = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().max() > 1e-12]
    assert not idle


@pytest.mark.parametrize("decoder", ["gru", "transformer", "coverage", "multi-head", "copying", "copying transformer"])
def test_bfloat16_autocast_is_near_float32(decoder: str) -> None:
    model = random_model("lstm", decoder, torch.float32)
    source, target, lengths = (
        random_ids(SOURCE_SIZE, 4, 5),
        random_ids(TARGET_SIZE, 4, 4, seed=1),
        torch.tensor([4, 3, 2, 1]),
    )

    def run() -> Tensor:
        return comparable(model(source, SOURCE_LENGTHS, target, lengths).logits)

    with torch.autocast("cpu", torch.bfloat16):
        low = run()
    assert_same_function(lambda: low.float(), run, gradients="none", tolerance=5e-2)


# --- steps -------------------------------------------------------------------------------------------------------


def whole_step(model: Transducer, source: Tensor, lengths: Tensor, history: Tensor) -> tuple[Tensor, Tensor | None]:
    """Logits after the last token of each history, and attention over the source there, by the full forward pass."""
    weights: list[Tensor] = []
    full = torch.full((len(history),), history.shape[1])
    logits = model.decode(model.encode(source, lengths), history, full, weights).logits
    return comparable(logits[:, -1]), weights[-1].mean(1)[:, -1] if weights else None


@each_encoder
@each_decoder
def test_steps_equal_the_whole(encoder: str, decoder: str) -> None:
    model = random_model(encoder, decoder)
    source, target = random_ids(SOURCE_SIZE, 4, 5), random_ids(TARGET_SIZE, 4, 6, seed=1)

    def step(tokens: Tensor, state: object) -> tuple[Tensor, object]:
        result = model.step(tokens, state)  # type: ignore[arg-type]
        return comparable(result.logits), result.state

    assert_steps_equal_whole(
        model,
        target,
        step=step,
        state=model.start(source, SOURCE_LENGTHS),
        whole=lambda ids: comparable(model(source, SOURCE_LENGTHS, ids, torch.full((4,), 6)).logits),
    )


@each_decoder
@pytest.mark.parametrize("encoder", ["gru", "transformer"])
@draws(6)
@given(data=st.data())
def test_a_search_may_open_reorder_and_drop(encoder: str, decoder: str, data: st.DataObject) -> None:
    """Rows are copied, swapped and dropped, groups leave, the width changes: each row keeps its own history."""
    model = random_model(encoder, decoder)
    source, lengths = random_ids(SOURCE_SIZE, 4, 5), SOURCE_LENGTHS
    with torch.no_grad():
        state = model.start(source, lengths)
        groups, width = list(range(4)), 1
        histories: list[list[int]] = [[] for _ in groups]
        for _ in range(4):
            stay = sorted(data.draw(st.sets(st.integers(0, len(groups) - 1), min_size=1), label="groups"))
            new_width = data.draw(st.integers(1, 3), label="width")
            inside = st.lists(st.integers(0, width - 1), min_size=new_width, max_size=new_width)
            rows = [group * width + row for group in stay for row in data.draw(inside, label="rows")]
            say_all = len(stay) < len(groups) or data.draw(st.booleans(), label="name all groups")
            state = state.reorder(torch.tensor(rows), torch.tensor(stay) if say_all else None)
            groups, width, histories = [groups[g] for g in stay], new_width, [list(histories[row]) for row in rows]
            tokens = data.draw(st.lists(st.integers(0, TARGET_SIZE - 1), min_size=len(rows), max_size=len(rows)))
            for history, token in zip(histories, tokens, strict=True):
                history.append(token)
            logits, state, alignment = model.step(torch.tensor(tokens), state)
            owners = torch.tensor(groups).repeat_interleave(width)
            whole, attended = whole_step(model, source[owners], lengths[owners], torch.tensor(histories))
            torch.testing.assert_close(comparable(logits), whole, rtol=1e-9, atol=1e-11)
            assert (alignment is None) == (attended is None) == (decoder == "bottleneck")
            if alignment is not None and attended is not None:
                torch.testing.assert_close(alignment, attended, rtol=1e-9, atol=1e-11)
                sums = (lengths[owners] > 0).double()
                torch.testing.assert_close(alignment.sum(1), sums)


@each_decoder
def test_the_old_state_survives_a_reorder_and_a_step(decoder: str) -> None:
    model = random_model("gru", decoder)
    tokens = torch.tensor([2, 3])
    start = model.start(random_ids(SOURCE_SIZE, 2, 5), torch.tensor([5, 3]))
    state = model.step(tokens, start).state
    before = model.step(tokens, state).logits
    model.step(tokens, state.reorder(torch.tensor([1]), torch.tensor([1])).reorder(torch.tensor([0, 0]), None))
    assert torch.equal(model.step(tokens, state).logits, before)
    assert model.step(tokens, state, align=False).alignment is None
    nothing = torch.zeros(0, dtype=torch.int64)
    assert model.step(nothing, state.reorder(nothing, nothing)).logits.shape == (0, before.shape[1])


# --- building, names, copies -------------------------------------------------------------------------------------


def test_logits_are_made_when_asked_for() -> None:
    features, weight, bias = torch.randn(2, 3, 4), torch.randn(5, 4), torch.randn(5)
    torch.testing.assert_close(VocabularyOutput(features, weight, bias).logits, features @ weight.t() + bias)
    torch.testing.assert_close(VocabularyOutput(features, weight, None).logits, features @ weight.t())


def test_embeddings_are_tied_and_shared_on_request() -> None:
    config = TransducerConfig(embedding_dim=DIM, encoder=ENCODERS["gru"], decoder=DECODERS["gru"])
    tied = build_transducer(config, source_size=SOURCE_SIZE, target_size=TARGET_SIZE)
    assert tied.output.weight is tied.target_embedding.weight
    assert tied.source_embedding is not tied.target_embedding
    loose = build_transducer(replace(config, tie_output=False), source_size=9, target_size=9)
    assert loose.output.weight is not loose.target_embedding.weight
    shared_config = replace(config, share_embeddings=True)
    shared = build_transducer(shared_config, source_size=9, target_size=9)
    assert shared.source_embedding is shared.target_embedding
    with pytest.raises(ValueError, match="11 and 9"):
        build_transducer(shared_config, source_size=SOURCE_SIZE, target_size=TARGET_SIZE)
    other = copy.deepcopy(shared)
    assert other.output.weight is other.source_embedding.weight
    assert other.output.weight is not shared.output.weight


def test_the_longest_sequence_is_known() -> None:
    model = random_model("post-norm learned transformer", "post-norm learned transformer")
    assert (model.max_source_length, model.max_target_length) == (12, 12)
    with pytest.raises(ValueError, match="12 steps, but the sequence has 13"):
        model.encode(random_ids(SOURCE_SIZE, 1, 13), torch.tensor([13]))
    free = random_model("transformer", "gru")
    assert (free.max_source_length, free.max_target_length) == (None, None)


@each_encoder
@each_decoder
def test_weights_fit_a_fresh_model(encoder: str, decoder: str) -> None:
    model = random_model(encoder, decoder)
    fresh = random_model(encoder, decoder)
    with torch.no_grad():
        for parameter in fresh.parameters():
            parameter.zero_()
    fresh.load_state_dict(model.state_dict(), strict=True)
    lengths = torch.tensor([4, 3, 2, 1])
    given = (random_ids(SOURCE_SIZE, 4, 5), SOURCE_LENGTHS, random_ids(TARGET_SIZE, 4, 4), lengths)
    assert torch.equal(fresh(*given).logits, model(*given).logits)


def test_names_in_a_state_dict_outlive_the_code() -> None:
    """A run folder written today names its tensors so: a change here needs a migration of old folders."""
    recurrent = random_model("gru", "input feeding").state_dict()
    cell = ("input_weight", "recurrent_weight", "bias")
    assert list(recurrent) == [
        *(f"encoder.layer.layers.0.{direction}_cell.{name}" for direction in ("forward", "backward") for name in cell),
        *(f"decoder.layer.layers.{number}.forward_cell.{name}" for number in (0, 1) for name in cell),
        "decoder.bridge.weight",
        "decoder.bridge.bias",
        "decoder.attention.score.query.weight",
        "decoder.attention.score.query.bias",
        "decoder.attention.score.key.weight",
        "decoder.attention.score.vector.weight",
        "decoder.combine.weight",
        "decoder.combine.bias",
        "source_embedding.weight",
        "target_embedding.weight",
        "output.weight",
        "output.bias",
    ]
    transformer = set(random_model("post-norm learned transformer", "transformer").state_dict())
    heads = [f"{part}.{kind}" for part in ("query", "key_value", "output") for kind in ("weight", "bias")]
    ends = [f"{part}.{kind}" for part in ("up", "down") for kind in ("weight", "bias")]
    expected = {"encoder.positions.table", "decoder.layer.final_norm.weight", "decoder.layer.final_norm.bias"}
    expected |= {"source_embedding.weight", "target_embedding.weight", "output.weight", "output.bias"}
    for layer, blocks in (
        ("encoder.layer.layers.0", ("attention",)),
        ("decoder.layer.layers.0", ("own_attention", "memory_attention")),
        ("decoder.layer.layers.1", ("own_attention", "memory_attention")),
    ):
        expected |= {f"{layer}.{block}.{name}" for block in blocks for name in heads}
        expected |= {f"{layer}.feed_forward.{name}" for name in ends}
        norms = [block.replace("_attention", "_norm") for block in blocks if block != "attention"] or ["attention_norm"]
        expected |= {f"{layer}.{norm}.{kind}" for norm in (*norms, "feed_forward_norm") for kind in ("weight", "bias")}
    assert transformer == expected
