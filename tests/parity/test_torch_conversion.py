"""`from_torch` and `to_torch`: the same function, weights that come back as they were, and sentences for the rest."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from seqlens.layers import GRU, LSTM, RNN, LayerState, MinGRU, RecurrentLayer, RecurrentState
from seqlens.testing import assert_same_function

LAYERS: dict[str, type[RecurrentLayer]] = {"RNN": RNN, "LSTM": LSTM, "GRU": GRU}
TORCH: dict[str, type[nn.RNNBase]] = {"RNN": nn.RNN, "LSTM": nn.LSTM, "GRU": nn.GRU}
TORCH_CELLS: dict[str, type[nn.RNNCellBase]] = {"RNN": nn.RNNCell, "LSTM": nn.LSTMCell, "GRU": nn.GRUCell}

each_kind = pytest.mark.parametrize("kind", LAYERS)


@st.composite
def torch_layers(draw: st.DrawFn) -> nn.RNNBase:
    kind = draw(st.sampled_from(sorted(TORCH)))
    extra: dict[str, object] = {}
    if kind == "RNN":
        extra["nonlinearity"] = draw(st.sampled_from(["tanh", "relu"]))
    num_layers = draw(st.integers(1, 3))
    hidden_dim = draw(st.integers(1, 5))
    if kind == "LSTM" and hidden_dim > 1 and draw(st.booleans()):
        extra["proj_size"] = draw(st.integers(1, hidden_dim - 1))
    torch.manual_seed(draw(st.integers(0, 2**16)))
    layer = TORCH[kind](
        draw(st.integers(1, 4)),
        hidden_dim,
        num_layers=num_layers,
        bidirectional=draw(st.booleans()),
        bias=draw(st.booleans()),
        batch_first=draw(st.booleans()),
        dropout=0.25 if num_layers > 1 else 0.0,
        **extra,
    ).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_(std=0.7)
    return layer


def converted(theirs: nn.RNNBase) -> RecurrentLayer:
    return LAYERS[type(theirs).__name__].from_torch(theirs)


def named_state(state: Tensor | tuple[Tensor, Tensor], bidirectional: bool) -> RecurrentState:
    named = {"hidden": state[0], "cell": state[1]} if isinstance(state, tuple) else {"hidden": state}
    sides = [dict(zip(named, parts, strict=True)) for parts in zip(*named.values(), strict=True)]
    step = 2 if bidirectional else 1
    return RecurrentState(tuple(LayerState(*sides[first : first + step]) for first in range(0, len(sides), step)))


@given(torch_layers(), st.lists(st.integers(1, 7), min_size=1, max_size=4))
@settings(max_examples=60)
def test_the_same_outputs_states_and_gradients(theirs: nn.RNNBase, lengths: list[int]) -> None:
    ours = converted(theirs)
    inputs = torch.randn(len(lengths), max(lengths) + 1, theirs.input_size, dtype=torch.float64)

    def run_torch(inputs: Tensor) -> object:
        packed = pack_padded_sequence(inputs, torch.tensor(lengths), batch_first=True, enforce_sorted=False)
        outputs, end = theirs(packed)
        padded, _ = pad_packed_sequence(outputs, batch_first=True, total_length=inputs.shape[1])
        return padded, named_state(end, theirs.bidirectional)

    # torch runs packed steps in eval mode as well, so dropout is off on both sides.
    theirs.eval()
    assert_same_function(lambda inputs: tuple(ours.eval()(inputs, torch.tensor(lengths))), run_torch, inputs)
    assert_gradients_of_weights_agree(ours, theirs, inputs)


def assert_gradients_of_weights_agree(ours: RecurrentLayer, theirs: nn.RNNBase, inputs: Tensor) -> None:
    """torch's two biases have one gradient each, ours is that of the one beside the input's product."""
    found = ours(inputs).outputs
    weights = torch.randn_like(found)
    (found * weights).sum().backward()
    expected, _ = theirs(inputs if theirs.batch_first else inputs.transpose(0, 1))
    ((expected if theirs.batch_first else expected.transpose(0, 1)) * weights).sum().backward()

    def gradient(name: str) -> Tensor:
        tensor = getattr(theirs, name).grad
        if not isinstance(theirs, nn.GRU):
            return tensor
        reset, update, candidate = tensor.chunk(3)
        return torch.cat((reset, -update, candidate))

    for number, layer in enumerate(ours.layers):
        for cell, suffix in ((layer.forward_cell, f"_l{number}"), (layer.backward_cell, f"_l{number}_reverse")):
            if cell is None:
                continue
            pairs = {"weight_ih": cell.input_weight, "weight_hh": cell.recurrent_weight, "bias_ih": cell.bias}
            for name, parameter in pairs.items():
                if parameter is not None:
                    assert parameter.grad is not None
                    torch.testing.assert_close(parameter.grad, gradient(name + suffix), rtol=1e-10, atol=1e-10)
            if isinstance(theirs, nn.GRU) and cell.bias is not None:
                inner = gradient(f"bias_hh{suffix}")[2 * theirs.hidden_size :]
                torch.testing.assert_close(cell.candidate_bias.grad, inner, rtol=1e-10, atol=1e-10)


@given(torch_layers())
@settings(max_examples=40)
def test_there_and_back(theirs: nn.RNNBase) -> None:
    """Our weights come back to the bit; torch's as the same function, its two biases being one on the way."""
    ours = converted(theirs)
    given = ours.to_torch()
    again = converted(given)
    assert again.state_dict().keys() == ours.state_dict().keys()
    for name, tensor in ours.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor)
    assert given.batch_first
    assert (given.dropout, given.num_layers, given.mode) == (theirs.dropout, theirs.num_layers, theirs.mode)
    inputs = torch.randn(2, 4, theirs.input_size, dtype=torch.float64)
    theirs.eval()
    expected, _ = theirs(inputs if theirs.batch_first else inputs.transpose(0, 1))
    expected = expected if theirs.batch_first else expected.transpose(0, 1)
    torch.testing.assert_close(given.eval()(inputs)[0], expected, rtol=1e-12, atol=1e-12)


@each_kind
def test_dtype_mode_and_frozen_weights_are_kept(kind: str) -> None:
    theirs = TORCH[kind](3, 4, num_layers=2, dtype=torch.bfloat16).eval().requires_grad_(False)
    ours = LAYERS[kind].from_torch(theirs)
    back = ours.to_torch()
    for layer in (ours, back):
        assert not layer.training
        assert {(p.dtype, p.requires_grad) for p in layer.parameters()} == {(torch.bfloat16, False)}
    assert all(p.requires_grad for p in LAYERS[kind].from_torch(TORCH[kind](3, 4)).to_torch().parameters())


@each_kind
def test_a_part_that_is_frozen_stays_frozen_there_and_back(kind: str) -> None:
    theirs = TORCH[kind](3, 4, num_layers=2, bidirectional=True)
    frozen = {"weight_hh_l0", "weight_ih_l1_reverse", "bias_ih_l1", "bias_hh_l1"}
    for name, parameter in theirs.named_parameters():
        parameter.requires_grad_(name not in frozen)
    ours = LAYERS[kind].from_torch(theirs)
    found = {name for name, parameter in ours.named_parameters() if not parameter.requires_grad}
    expected = {"0.forward_cell.recurrent_weight", "1.backward_cell.input_weight", "1.forward_cell.bias"}
    expected |= {"1.forward_cell.candidate_bias"} if kind == "GRU" else set()
    assert found == {f"layers.{name}" for name in expected}
    assert {name for name, parameter in ours.to_torch().named_parameters() if not parameter.requires_grad} == frozen


@each_kind
def test_a_converted_layer_stands_alone_and_draws_no_random_numbers(kind: str) -> None:
    theirs = TORCH[kind](3, 4, bias=False)
    state = torch.get_rng_state()
    ours = LAYERS[kind].from_torch(theirs)
    back = ours.to_torch()
    assert torch.equal(torch.get_rng_state(), state)
    before = {name: tensor.clone() for name, tensor in ours.state_dict().items()}
    with torch.no_grad():
        for parameter in [*theirs.parameters(), *back.parameters()]:
            parameter.zero_()
    for name, tensor in ours.state_dict().items():
        assert torch.equal(tensor, before[name])
        assert tensor.any()


@each_kind
@pytest.mark.parametrize("bias", [True, False])
def test_a_cell_becomes_a_layer(kind: str, bias: bool) -> None:
    torch.manual_seed(0)
    cell = TORCH_CELLS[kind](3, 4, bias=bias, dtype=torch.float64)
    ours = LAYERS[kind].from_torch(cell)
    inputs = torch.randn(2, 5, 3, dtype=torch.float64)
    state, outputs = None, []
    for x_t in inputs.unbind(1):
        state = cell(x_t, state)
        outputs.append(state[0] if kind == "LSTM" else state)
    torch.testing.assert_close(ours(inputs).outputs, torch.stack(outputs, 1), rtol=1e-12, atol=1e-12)


def test_another_layer_is_refused() -> None:
    with pytest.raises(ValueError, match=r"GRU.from_torch takes nn.GRU or nn.GRUCell, but was given LSTM: use LSTM.fr"):
        GRU.from_torch(nn.LSTM(2, 3))
    with pytest.raises(ValueError, match=r"was given Linear$"):
        LSTM.from_torch(nn.Linear(2, 3))


REFUSED: list[tuple[RecurrentLayer, str]] = [
    (GRU(2, 3, reset="before"), "torch's GRU resets after the recurrent product"),
    (GRU(2, 3, reset="after", layer_norm=True), "torch has no layer that computes what a LayerNormGRUCell computes"),
    (LSTM(2, 3, variant="peephole"), "torch has no layer that computes what a PeepholeLSTMCell computes"),
    (LSTM(2, 3, variant="projected", cell_dim=3), "torch's LSTM projects to fewer entries .* this one from 3 to 3"),
    (MinGRU(2, 3), "torch has no layer that computes what a MinGRUCell computes"),
    (LSTM(2, 3, bidirectional=True, merge="sum"), "merge='sum' has no match in the"),
    (LSTM(2, 3, num_layers=2, residual=True), "residual=True has no match in the"),
    (LSTM(2, 3, learned_state=True), "learned_state=True has no match in the"),
    (LSTM(2, 3, zoneout_p=0.1).eval(), "zoneout_p=0.1 has no match in the recurrent layers of torch$"),
    (LSTM(2, 3, recurrent_dropout_p=0.1), r"recurrent_dropout_p=0.1 has no match in .*; after eval\(\) it can be left"),
]


@pytest.mark.parametrize(("layer", "sentence"), REFUSED)
def test_what_torch_lacks_is_refused(layer: RecurrentLayer, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        layer.to_torch()


def test_what_no_library_has_is_refused_everywhere() -> None:
    for layer in (GRU(2, 3, reset="after", layer_norm=True), MinGRU(2, 3), LSTM(2, 3, variant="projected")):
        cell = type(layer.layers[0].forward_cell).__name__
        for library, convert in (("Keras", layer.to_keras), ("ONNX", layer.to_onnx)):
            with pytest.raises(
                ValueError, match=f"^{library} has no (layer|operator) that computes what a {cell} comp"
            ):
                convert()
    with pytest.raises(ValueError, match="torch has no layer that computes what a MinGRU does"):
        MinGRU.from_torch(nn.GRU(2, 3))


def test_what_ends_with_training_is_left_out_after_it() -> None:
    layer = LSTM(2, 3, num_layers=2, dropout_p=0.1, recurrent_dropout_p=0.1, weight_dropout_p=0.1).double().eval()
    inputs = torch.randn(2, 4, 2, dtype=torch.float64)
    torch.testing.assert_close(layer.to_torch()(inputs)[0], layer(inputs).outputs, rtol=1e-12, atol=1e-12)
    assert len(layer.to_keras()) == len(layer.to_onnx()) == 2
    with pytest.raises(ValueError, match=r"dropout_p=0.1 has no match in the recurrent layers of Keras; after eval"):
        LSTM(2, 3, num_layers=2, dropout_p=0.1).to_keras()


def test_a_coupled_lstm_is_an_lstm_whose_forget_gate_opposes_its_input_gate() -> None:
    layer = LSTM(2, 3, variant="coupled", bidirectional=True).double()
    inputs = torch.randn(2, 5, 2, dtype=torch.float64)
    torch.testing.assert_close(layer.to_torch()(inputs)[0], layer(inputs).outputs, rtol=1e-12, atol=1e-12)


def test_one_line_in_a_classifier_that_is_there_already() -> None:
    """The line: `classifier.gru = GRU.from_torch(classifier.gru)`; it trains on as it would have."""

    class Classifier(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(10, 3)
            self.gru = nn.GRU(3, 4, batch_first=True, bidirectional=True)
            self.head = nn.Linear(8, 2)

        def forward(self, ids: Tensor) -> Tensor:
            outputs, _ = self.gru(self.embedding(ids))
            return self.head(outputs.mean(1))

    def trained(classifier: Classifier) -> list[Tensor]:
        optimizer = torch.optim.SGD(classifier.parameters(), lr=0.1)
        losses = []
        for _ in range(5):
            loss = nn.functional.cross_entropy(classifier(ids), ids[:, 0] % 2)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        return losses

    ids = torch.randint(10, (6, 5), generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    theirs = Classifier().double()
    ours = Classifier().double()
    ours.load_state_dict(theirs.state_dict())
    ours.gru = GRU.from_torch(ours.gru)  # type: ignore[assignment]
    torch.testing.assert_close(ours(ids), theirs(ids), rtol=1e-12, atol=1e-12)
    # The two biases of torch take a step each, so that its bias moves twice as fast as ours: first losses agree.
    ours_losses, theirs_losses = trained(ours), trained(theirs)
    torch.testing.assert_close(ours_losses[0], theirs_losses[0], rtol=1e-12, atol=1e-12)
    assert ours_losses[-1] < ours_losses[0]
