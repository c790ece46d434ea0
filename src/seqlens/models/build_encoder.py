"""From the settings of an encoder to the encoder."""

from seqlens.layers import TransformerEncoder
from seqlens.layers.build import build_recurrent
from seqlens.models.config import (
    ConvolutionalEncoderConfig,
    EncoderConfig,
    RecurrentEncoderConfig,
    TransformerEncoderConfig,
)
from seqlens.models.encoders import ConvolutionalEncoder, Encoder, RecurrentEncoder, SelfAttentionEncoder


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
                TransformerEncoder(input_dim, num_layers=config.num_layers, **config.options()),
                positions=config.added_positions,
                max_length=config.max_length,
                dropout_p=config.dropout_p,
            )
