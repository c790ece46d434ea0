"""A language model: each next token from those before it, by recurrent layers or a causal Transformer."""

from typing import NamedTuple, final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from seqlens.layers import PositionKind, RecurrentLayer, RecurrentState, build_positions
from seqlens.layers.build import build_recurrent
from seqlens.layers.causal_transformer import CausalState, CausalTransformer
from seqlens.layers.dropout import Dropout
from seqlens.models.language_model_config import CausalLayersConfig, LanguageModelConfig, RecurrentLayersConfig
from seqlens.models.outputs import VocabularyOutput

LanguageState = RecurrentState | CausalState
"""What a language model knows of the text so far; both have `select(rows)` and `detach()`."""


class LanguageModelOutput(NamedTuple):
    """The output over the vocabulary at every step, which predicts the next token, and the state after the last."""

    vocabulary: VocabularyOutput
    state: LanguageState

    @property
    def logits(self) -> Float[Tensor, "batch time vocab"]:
        """Unnormalised log-probabilities of each next token, made when asked for."""
        return self.vocabulary.logits


@final
class LanguageModel(nn.Module):
    """Embeddings, layers that see no later token, and the output layer over the vocabulary."""

    def __init__(
        self,
        layers: RecurrentLayer | CausalTransformer,
        *,
        vocab_size: int,
        embedding_dim: int,
        dropout_p: float = 0.0,
        tie_output: bool = True,
        positions: PositionKind | None = None,
        max_length: int = 1024,
    ) -> None:
        """`layers` read `embedding_dim` entries a step. `positions` are added to the embeddings of a Transformer.

        Raises:
            ValueError: the layers read both ways, so they would see what they are to predict.
        """
        super().__init__()
        if isinstance(layers, RecurrentLayer) and layers.bidirectional:
            raise ValueError(
                "a language model needs layers of one direction: they must not see what is to be predicted"
            )
        self.layers = layers
        self.embedding = nn.Embedding(vocab_size, embedding_dim)
        # Tied to the output layer, an embedding must be small there and of unit variance here (Vaswani 2017, 3.4).
        self.embedding_scale = embedding_dim**0.5
        nn.init.normal_(self.embedding.weight, std=embedding_dim**-0.5)
        bridged = tie_output and layers.output_dim != embedding_dim
        self.bridge = nn.Linear(layers.output_dim, embedding_dim) if bridged else nn.Identity()
        self.output = nn.Linear(embedding_dim if tie_output else layers.output_dim, vocab_size)
        nn.init.zeros_(self.output.bias)
        if tie_output:
            self.output.weight = self.embedding.weight
        self.positions = None if positions is None else build_positions(positions, embedding_dim, max_length)
        self.dropout = Dropout(dropout_p)

    @property
    def max_length(self) -> int | None:
        """Steps that learned positions reach; None where there is no such bound."""
        return None if self.positions is None else self.positions.max_length

    @property
    def has_bounded_state(self) -> bool:
        """Whether a text may go on for any length: recurrent layers, or attention within a window."""
        return isinstance(self.layers, RecurrentLayer) or self.layers.window is not None

    def initial_state(self, batch_size: int) -> LanguageState:
        """The state before the first token, on the model's device."""
        device = self.embedding.weight.device
        return self.layers.initial_state(batch_size, device=device, dtype=self.embedding.weight.dtype)

    def forward(
        self,
        tokens: Int[Tensor, "batch time"],
        lengths: Int[Tensor, " batch"] | None = None,
        state: LanguageState | None = None,
    ) -> LanguageModelOutput:
        """Predicts each next token; with `state` it goes on where an earlier chunk ended.

        `lengths` says how many tokens of each row are real; all are if None.
        """
        start = state.position if isinstance(state, CausalState) else 0
        hidden, state = self.layers(self._embed(tokens, start), lengths, state)
        return LanguageModelOutput(self._vocabulary(hidden), state)

    def step(
        self, tokens: Int[Tensor, " batch"], state: LanguageState
    ) -> tuple[Float[Tensor, "batch vocab"], LanguageState]:
        """One step, equal to that of the whole: the logits of what follows `tokens`, and the next state."""
        start = state.position if isinstance(state, CausalState) else 0
        hidden, state = self.layers.step(self._embed(tokens[:, None], start)[:, 0], state)  # type: ignore[arg-type]
        return self._vocabulary(hidden).logits, state

    def explain(self) -> str:
        """Which executor runs the layers, and why."""
        if isinstance(self.layers, RecurrentLayer):
            return self.layers.explain()
        return "Causal attention over the keys of all positions before, computed in whole chunks."

    def _embed(self, tokens: Tensor, start: int) -> Tensor:
        embedded = self.embedding(tokens) * self.embedding_scale
        if self.positions is not None:
            embedded = embedded + self.positions(start, tokens.shape[1], embedded)
        return self.dropout(embedded)

    def _vocabulary(self, hidden: Tensor) -> VocabularyOutput:
        return VocabularyOutput(self.bridge(self.dropout(hidden)), self.output.weight, self.output.bias)


def build_language_model(config: LanguageModelConfig, *, vocab_size: int) -> LanguageModel:
    """Builds the model that a recipe describes, for a vocabulary of this size."""
    layers: RecurrentLayer | CausalTransformer
    positions: PositionKind | None = None
    max_length = 1024
    match config.layers:
        case RecurrentLayersConfig() as part:
            layers = build_recurrent(
                part.cell,
                config.embedding_dim,
                part.hidden_dim,
                num_layers=part.num_layers,
                dropout_p=part.dropout_p,
            )
        case CausalLayersConfig() as part:
            layers = CausalTransformer(
                config.embedding_dim, num_layers=part.num_layers, window=part.window, **part.options()
            )
            positions = part.added_positions
            max_length = part.max_length
    return LanguageModel(
        layers,
        vocab_size=vocab_size,
        embedding_dim=config.embedding_dim,
        dropout_p=config.dropout_p,
        tie_output=config.tie_output,
        positions=positions,
        max_length=max_length,
    )


def pack_state(state: LanguageState) -> dict[str, Tensor]:
    """The state as tensors by name, which safetensors can hold; `unpack_state` undoes it."""
    if isinstance(state, RecurrentState):
        return {
            f"{number}.{name}": tensor.detach().contiguous()
            for number, layer in enumerate(state.layers)
            for name, tensor in layer.forward.items()
        }
    packed = {"ended": state.ended, "position": torch.tensor(state.position)}
    for number, keys in enumerate(state.layers):
        packed[f"{number}.keys"] = keys.keys.detach().contiguous()
        packed[f"{number}.values"] = keys.values.detach().contiguous()
        packed[f"{number}.start"] = torch.tensor(keys.start)
    return packed


def unpack_state(model: LanguageModel, tensors: dict[str, Tensor]) -> LanguageState:
    """The state of this model that `pack_state` gave these tensors.

    Raises:
        ValueError: they are of another model.
    """
    template = model.initial_state(0)
    names = set(pack_state(template))
    if names != set(tensors):
        raise ValueError(f"the carried state holds {', '.join(sorted(tensors))}, expected {', '.join(sorted(names))}")
    device = model.embedding.weight.device
    given = {name: tensor.to(device) for name, tensor in tensors.items()}
    if isinstance(template, RecurrentState):
        layers = tuple(
            layer._replace(forward={name: given[f"{number}.{name}"] for name in layer.forward})
            for number, layer in enumerate(template.layers)
        )
        return RecurrentState(layers)
    keys = tuple(
        layer._replace(
            keys=given[f"{number}.keys"], values=given[f"{number}.values"], start=int(given[f"{number}.start"])
        )
        for number, layer in enumerate(template.layers)
    )
    return CausalState(keys, given["ended"], int(given["position"]), bool(given["ended"].any()))
