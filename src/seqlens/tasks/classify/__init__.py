"""A sequence in, one label out."""
