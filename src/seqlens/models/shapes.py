"""The other shapes: many-to-one, many-to-many aligned, one-to-many; small models out of the same layers."""

from typing import Literal, NamedTuple, final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from seqlens.layers import RecurrentLayer, RecurrentState
from seqlens.layers.dropout import Dropout
from seqlens.layers.masks import length_mask, masked_softmax
from seqlens.models.encoders import Encoder, pool_last
from seqlens.models.reading_frames import ReadingFrames

Pooling = Literal["summary", "last", "mean", "max", "attention", "combined", "positions", "frames"]
_POSITION_DIM = 12
_FRAME_WORDS, _FRAME_DIM = 32, 32


class ClassifierOutput(NamedTuple):
    """`logits [batch, classes]`, and where steps are weighed, `weights [batch, time]`, zero at padding."""

    logits: Float[Tensor, "batch classes"]
    weights: Float[Tensor, "batch time"] | None = None


@final
class SequenceClassifier(nn.Module):
    """Many-to-one: an encoder, one vector out of its memory, one layer over the classes."""

    def __init__(
        self,
        encoder: Encoder,
        *,
        num_classes: int,
        pooling: Pooling = "summary",
        dropout_p: float = 0.0,
        num_positions: int | None = None,
        input_dim: int | None = None,
    ) -> None:
        """`pooling`: the encoder's own summary, the last step, the mean or maximum over real steps, their mean as
        weighed by additive attention from a learned query (Yang et al. 2016, section 2.2), `combined`: maximum, mean
        and weighed mean side by side, `positions`: some features of each of the first `num_positions` steps side by
        side, for windows in which each place has its own meaning, or `frames`: the same, and what the reading frames of
        the inputs hold, of size `input_dim`. `dropout_p` is that of the vector.

        Raises:
            ValueError: `positions` or `frames` without the sizes they need.
        """
        super().__init__()
        self.encoder = encoder
        self.pooling: Pooling = pooling
        self.dropout = Dropout(dropout_p)
        self.num_positions = None
        self.narrow = None
        pooled_dim = encoder.output_dim
        self.frames = None
        if pooling in ("positions", "frames"):
            if num_positions is None:
                raise ValueError(f"pooling by {pooling} needs `num_positions`")
            self.num_positions = num_positions
            self.narrow = nn.Linear(encoder.output_dim, _POSITION_DIM)
            pooled_dim = num_positions * _POSITION_DIM
        if pooling == "frames":
            if input_dim is None:
                raise ValueError("pooling by frames needs `input_dim`")
            self.frames = ReadingFrames(input_dim, _FRAME_DIM, num_words=_FRAME_WORDS)
            pooled_dim += _FRAME_DIM
        if pooling == "combined":
            pooled_dim = 3 * encoder.output_dim
        self.output = nn.Linear(pooled_dim, num_classes)
        self.score = None
        if pooling in ("attention", "combined"):
            dim = encoder.output_dim
            self.score = nn.Sequential(nn.Linear(dim, dim), nn.Tanh(), nn.Linear(dim, 1, bias=False))

    def forward(
        self,
        inputs: Float[Tensor, "batch time dim"],
        lengths: Int[Tensor, " batch"],
        *,
        undropped: Float[Tensor, "batch time dim"] | None = None,
    ) -> ClassifierOutput:
        """Classifies whole sequences; one of length 0 is judged by zeros.

        `undropped`: the inputs before dropout, for reading frames: that a word is nowhere is a matter of every step.
        """
        encoded = self.encoder(inputs, lengths)
        mask = length_mask(lengths, inputs.shape[1], inputs.device)[:, :, None]
        weights = None
        match self.pooling:
            case "summary":
                pooled = encoded.summary
            case "last":
                pooled = pool_last(encoded.memory, lengths)
            case "mean":
                pooled = _mean(encoded.memory, lengths)
            case "max":
                pooled = _highest(encoded.memory, mask)
            case "attention":
                pooled, weights = self._attended(encoded.memory, mask)
            case "combined":
                attended, weights = self._attended(encoded.memory, mask)
                parts = [_highest(encoded.memory, mask), _mean(encoded.memory, lengths), attended]
                pooled = torch.cat(parts, dim=1)
            case "positions":
                pooled = self._side_by_side(encoded.memory, mask)
            case "frames":
                assert self.frames is not None
                frames = self.frames(inputs if undropped is None else undropped, lengths)
                pooled = torch.cat([self._side_by_side(encoded.memory, mask), frames], dim=1)
        return ClassifierOutput(self.output(self.dropout(pooled)), weights)

    def _attended(
        self, memory: Float[Tensor, "batch time dim"], mask: Bool[Tensor, "batch time 1"]
    ) -> tuple[Float[Tensor, "batch dim"], Float[Tensor, "batch time"]]:
        assert self.score is not None
        weights = masked_softmax(self.score(memory)[:, :, 0], mask[:, :, 0]).to(memory.dtype)
        return (weights[:, None] @ memory)[:, 0], weights

    def _side_by_side(
        self, memory: Float[Tensor, "batch time dim"], mask: Bool[Tensor, "batch time 1"]
    ) -> Float[Tensor, "batch features"]:
        assert self.narrow is not None
        assert self.num_positions is not None
        features = torch.nn.functional.gelu(self.narrow(self.dropout(memory))).masked_fill(~mask, 0.0)
        features = features[:, : self.num_positions]
        return nn.functional.pad(features, (0, 0, 0, self.num_positions - features.shape[1])).flatten(1)


def _mean(memory: Float[Tensor, "batch time dim"], lengths: Int[Tensor, " batch"]) -> Float[Tensor, "batch dim"]:
    return memory.sum(1) / lengths.clamp(min=1).to(memory.device)[:, None]


def _highest(memory: Float[Tensor, "batch time dim"], mask: Bool[Tensor, "batch time 1"]) -> Float[Tensor, "batch dim"]:
    masked = memory.masked_fill(~mask, float("-inf"))
    # One step more, so that there is a maximum where the batch has no steps.
    highest = nn.functional.pad(masked, (0, 0, 0, 1), value=float("-inf")).amax(1)
    return highest.masked_fill(~mask.any(1), 0.0)


class TaggerOutput(NamedTuple):
    """`logits [batch, time, tags]`; those at padding mean nothing."""

    logits: Float[Tensor, "batch time tags"]


@final
class SequenceTagger(nn.Module):
    """Many-to-many aligned: an encoder, and one layer over the tags at every step."""

    def __init__(self, encoder: Encoder, *, num_tags: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.output = nn.Linear(encoder.output_dim, num_tags)

    def forward(self, inputs: Float[Tensor, "batch time dim"], lengths: Int[Tensor, " batch"]) -> TaggerOutput:
        """Tags every step."""
        return TaggerOutput(self.output(self.encoder(inputs, lengths).memory))


class GeneratorOutput(NamedTuple):
    """`logits [batch, time, vocab]` of each next token, and the state to carry on."""

    logits: Float[Tensor, "batch time vocab"]
    state: RecurrentState


@final
class SequenceGenerator(nn.Module):
    """One-to-many: a recurrent language model, started from a vector (a picture's features) or from nothing."""

    def __init__(self, layer: RecurrentLayer, *, vocab_size: int, condition_dim: int | None = None) -> None:
        """`layer` reads embeddings of `layer.input_dim`; `condition_dim` is the size of the vector it starts from.

        Raises:
            ValueError: the layer reads both ways, so it would see what it is to predict.
        """
        super().__init__()
        if layer.bidirectional:
            raise ValueError("a generator needs a layer of one direction: it must not see what it is to predict")
        self.embedding = nn.Embedding(vocab_size, layer.input_dim)
        self.layer = layer
        self.condition = None if condition_dim is None else nn.Linear(condition_dim, layer.hidden_dim)
        self.output = nn.Linear(layer.output_dim, vocab_size)

    def start(self, condition: Float[Tensor, "batch condition"]) -> RecurrentState:
        """The state from which a sequence for this vector is generated: it fills every layer's hidden state.

        Raises:
            ValueError: the model was built without `condition_dim`.
        """
        if self.condition is None:
            raise ValueError("this generator has no `condition_dim`, so it cannot start from a vector")
        state = self.layer.initial_state(len(condition), device=condition.device)
        # States stay in the dtype of the weights under autocast.
        hidden = torch.tanh(self.condition(condition)).to(self.condition.weight.dtype)
        layers = tuple(layer._replace(forward={**layer.forward, "hidden": hidden}) for layer in state.layers)
        return RecurrentState(layers)

    def forward(
        self,
        tokens: Int[Tensor, "batch time"],
        lengths: Int[Tensor, " batch"] | None = None,
        state: RecurrentState | None = None,
    ) -> GeneratorOutput:
        """Predicts each next token; with `state` it goes on where an earlier chunk ended."""
        outputs, state = self.layer(self.embedding(tokens), lengths, state)
        return GeneratorOutput(self.output(outputs), state)

    def step(
        self, tokens: Int[Tensor, " batch"], state: RecurrentState
    ) -> tuple[Float[Tensor, "batch vocab"], RecurrentState]:
        """One step, equal to that of the whole."""
        output, state = self.layer.step(self.embedding(tokens), state)
        return self.output(output), state
