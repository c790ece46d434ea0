"""What a person asks for by one verb: train, evaluate, demo, compare, inspect."""
