"""Genes on a sequence of DNA: which bases are coding, on which strand and in which frame."""
