"""From the settings of an encoder to the encoder."""

from seqlens.layers import TransformerEncoder
from seqlens.layers.build import build_recurrent
from seqlens.layers.options import TransformerOptions
from seqlens.models.config import (
    ConvolutionalEncoderConfig,
    EncoderConfig,
    RecurrentEncoderConfig,
    TransformerEncoderConfig,
    TransformerLayersConfig,
)
from seqlens.models.encoders import ConvolutionalEncoder, Encoder, RecurrentEncoder, SelfAttentionEncoder


def transformer_options(config: TransformerLayersConfig) -> TransformerOptions:
    """What every stack of Transformer layers takes."""
    return {
        "num_layers": config.num_layers,
        "num_heads": config.num_heads,
        "feed_forward_dim": config.feed_forward_dim,
        "dropout_p": config.dropout_p,
        "attention_dropout_p": config.attention_dropout_p,
        "activation_dropout_p": config.activation_dropout_p,
        "norm": config.norm,
        "rotary": config.positions == "rotary",
    }


def build_encoder(config: EncoderConfig, input_dim: int) -> Encoder:
    """Builds the encoder that a recipe describes, for inputs of this size."""
    match config:
        case RecurrentEncoderConfig():
            layer = build_recurrent(
                config.cell,
                input_dim,
                config.hidden_dim,
                num_layers=config.num_layers,
                bidirectional=config.bidirectional,
                dropout_p=config.dropout_p,
            )
            return RecurrentEncoder(layer)
        case ConvolutionalEncoderConfig():
            return ConvolutionalEncoder(
                input_dim,
                config.channels,
                first_kernel=config.first_kernel,
                kernel=config.kernel,
                dilations=config.dilations,
                dropout_p=config.dropout_p,
            )
        case TransformerEncoderConfig():
            return SelfAttentionEncoder(
                TransformerEncoder(input_dim, **transformer_options(config)),
                positions=None if config.positions == "rotary" else config.positions,
                max_length=config.max_length,
                dropout_p=config.dropout_p,
            )
