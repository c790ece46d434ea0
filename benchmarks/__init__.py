"""What seqlens reaches (`quality`) and what it costs (`speed`); docs/results.md is made from their rows."""
