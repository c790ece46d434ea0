"""Texts with a label each: lines, TSV, CSV, JSON Lines, a folder per class, phrase trees."""
