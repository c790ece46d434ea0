"""Data: examples, readers, the catalogue, text codecs, encoded corpora, batches, generators."""
