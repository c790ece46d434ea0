"""What recurrent layers cannot do is refused in a sentence, and a misspelt choice never chooses something else."""

from collections.abc import Callable, Iterator

import jaxtyping
import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence

from seqlens.cells import GRUCell, RNNCell, build_cell
from seqlens.layers import (
    GRU,
    LSTM,
    RNN,
    Attention,
    LayerState,
    MultiHeadAttention,
    RecurrentLayer,
    RecurrentState,
    build_positions,
    build_score,
)
from seqlens.layers.build import build_recurrent

INPUTS = torch.zeros(2, 6, 3)

pytestmark = pytest.mark.usefixtures("no_shape_checks")


@pytest.fixture
def no_shape_checks() -> Iterator[None]:
    """Where tests run with shapes checked, the checks would speak before the layer's own errors do."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


# --- arguments ---------------------------------------------------------------------------------------------------

MISSPELT: list[tuple[Callable[[], object], str]] = [
    (
        lambda: GRU(3, 4, reset="befor"),
        r"`reset` must be 'before' or 'after', but is 'befor'\. Did you mean 'before'\?",
    ),
    (lambda: GRUCell(3, 4, reset="befor"), "`reset` must be"),
    (lambda: GRU(3, 4, merge="concat"), r"`merge` must be 'concatenate', 'sum' or 'mean', but is 'concat'\. Did you"),
    (
        lambda: GRU(3, 4, executor="fast"),
        "`executor` must be 'auto', 'reference', 'generic', 'scan' or 'fused', but is",
    ),
    (lambda: GRU(3, 4, start="orthogonl"), "`start` must be .* Did you mean 'orthogonal'"),
    (lambda: LSTM(3, 4, variant="peephol"), "`variant` must be .* Did you mean 'peephole'"),
    (lambda: RNN(3, 4, activation="gelu"), "`activation` must be 'tanh' or 'relu', but is 'gelu'"),
    (lambda: RNNCell(3, 4, activation="gelu"), "`activation` must be"),
    (lambda: build_cell("gruu", 3, 4), "`kind` must be .* Did you mean 'gru'"),
    (lambda: build_recurrent("lstm_peep", 3, 4), "`kind` must be .* Did you mean 'lstm_peephole'"),
    (lambda: build_score("scaled", 3, 3), "`score` must be .* Did you mean 'scaled_dot'"),
    (lambda: Attention(3, 3, score="aditive"), "`score` must be .* Did you mean 'additive'"),
    (lambda: build_positions("sinus", 4, 4), "`positions` must be .* Did you mean 'sinusoidal'"),
]


@pytest.mark.parametrize(("make", "sentence"), MISSPELT, ids=[sentence for _, sentence in MISSPELT])
def test_a_misspelt_choice_is_refused(make: Callable[[], object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        make()


def test_arguments_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(ValueError, match="`cell_dim` is for variant='projected', but variant is 'plain'"):
        LSTM(2, 3, cell_dim=4)
    with pytest.raises(ValueError, match="needs reset='after'"):
        GRU(2, 3, layer_norm=True)
    with pytest.raises(ValueError, match="activation is 'relu'"):
        RNN(2, 3, activation="relu", layer_norm=True)
    with pytest.raises(ValueError, match="`longest` is for start='chrono', but start is 'orthogonal'"):
        GRU(2, 3, longest=50)
    with pytest.raises(ValueError, match="set the same biases: give one of them"):
        LSTM(2, 3, start="chrono", longest=50, forget_bias=1.0)


@pytest.mark.parametrize("sizes", [(0, 4), (3, 0)], ids=str)
def test_sizes_below_one_are_refused(sizes: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="must be at least 1"):
        GRU(*sizes)
    with pytest.raises(ValueError, match="num_layers=0"):
        GRU(3, 4, num_layers=0)
    for cell_dim in (0, -1):
        with pytest.raises(ValueError, match=f"`cell_dim` must be at least 1, but is {cell_dim}"):
            LSTM(3, 4, variant="projected", cell_dim=cell_dim)


def test_heads_and_chances_of_attention_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="is 6 with 0 heads"):
        MultiHeadAttention(6, 0)
    for p in (-0.1, 1.0):
        with pytest.raises(ValueError, match=f"must be at least 0 and below 1, but is {p}"):
            MultiHeadAttention(6, 2, dropout_p=p)


# --- inputs and lengths ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lengths", "sentence"),
    [
        (torch.tensor([1, 7]), "between 0 and the 6 time steps of the batch, but run from 1 to 7"),
        (torch.tensor([-1, 2]), "run from -1 to 2"),
        (torch.tensor([1, 2, 3]), r"one whole number per sequence, \[2\], but is \(3,\)"),
        (torch.zeros(2, 6, dtype=torch.int64), r"one whole number per sequence, \[2\], but is \(2, 6\)"),
        (torch.tensor([4.7, 2.0]), "a tensor of whole numbers, one per sequence, but is torch.float32"),
        (torch.tensor([True, False]), "but is torch.bool"),
        ([4, 2], "but is a list"),
        (GRU(3, 4).initial_state(2), "but is a RecurrentState"),
    ],
    ids=str,
)
def test_lengths_that_do_not_fit_are_refused(lengths: Tensor, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        GRU(3, 4)(INPUTS, lengths)
    with pytest.raises(ValueError, match=sentence):
        GRU(3, 4).explain(INPUTS, lengths)
    if isinstance(lengths, Tensor) and lengths.shape == (2,):
        with pytest.raises(ValueError, match=sentence):
            Attention(3, 3).prepare(INPUTS, lengths=lengths)


def test_inputs_of_another_shape_are_refused() -> None:
    layer = GRU(3, 4)
    for inputs, found in ((torch.zeros(2, 6, 5), r"\[2, 6, 5\]"), (torch.zeros(6, 3), r"\[6, 3\]")):
        with pytest.raises(ValueError, match=rf"a padded batch \[batch, time, 3\], but is {found}"):
            layer(inputs)
    packed = pack_padded_sequence(INPUTS, torch.tensor([6, 2]), batch_first=True)
    with pytest.raises(ValueError, match=r"a padded batch .* but is a PackedSequence"):
        layer(packed)


# --- state -------------------------------------------------------------------------------------------------------


def layers_of(layer: RecurrentLayer, rows: int) -> tuple[LayerState, ...]:
    return layer.initial_state(rows).layers


def test_a_state_that_does_not_fit_is_refused() -> None:
    gru, lstm, both = GRU(3, 4, num_layers=2), LSTM(3, 4, num_layers=2), GRU(3, 4, num_layers=2, bidirectional=True)
    mixed = RecurrentState(
        (layers_of(lstm, 2)[0], LayerState({"hidden": torch.zeros(2, 4), "cell": torch.zeros(3, 4)}))
    )
    cases: list[tuple[RecurrentLayer, object, str]] = [
        (gru, gru.initial_state(3), r"layer 0, forward, must be \{'hidden': \[2, 4\]\}, but is \{'hidden': \[3, 4\]\}"),
        (gru, GRU(3, 4, num_layers=3).initial_state(2), "must hold 2 layers of one direction"),
        (gru, both.initial_state(2), "must hold 2 layers of one direction"),
        (both, gru.initial_state(2), "must hold 2 layers of both directions"),
        (
            gru,
            lstm.initial_state(2),
            r"must be \{'hidden': \[2, 4\]\}, but is \{'hidden': \[2, 4\], 'cell': \[2, 4\]\}",
        ),
        (
            lstm,
            gru.initial_state(2),
            r"must be \{'hidden': \[2, 4\], 'cell': \[2, 4\]\}, but is \{'hidden': \[2, 4\]\}",
        ),
        (lstm, mixed, r"layer 1, forward, .* 'cell': \[3, 4\]"),
        (gru, GRU(3, 5, num_layers=2).initial_state(2), r"but is \{'hidden': \[2, 5\]\}"),
        (gru, torch.zeros(2, 2, 4), "must be a RecurrentState, as `initial_state` makes it, but is a Tensor"),
    ]
    for layer, state, sentence in cases:
        with pytest.raises(ValueError, match=sentence):
            layer(INPUTS, None, state)
        if not layer.bidirectional:
            with pytest.raises(ValueError, match=sentence):
                layer.step(INPUTS[:, 0], state)


def test_a_step_of_another_shape_is_refused() -> None:
    layer = GRU(3, 4)
    for x_t in (torch.zeros(2, 4), torch.zeros(2, 1, 3)):
        with pytest.raises(ValueError, match=r"`x_t` must be \[batch, 3\], but is"):
            layer.step(x_t, layer.initial_state(2))
    both = GRU(2, 2, bidirectional=True)
    with pytest.raises(ValueError, match="one direction"):
        both.step(torch.zeros(1, 2), both.initial_state(1))
