"""Texts with marked spans: CoNLL columns, JSON Lines with character offsets."""
