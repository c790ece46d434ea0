"""Texts that a language model learns from: lines, each a document, or one running text; read or generated."""
