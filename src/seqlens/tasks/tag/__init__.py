"""The task `tag`: spans of a text and what they name."""
