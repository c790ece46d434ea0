"""What a model is asked to do: loss, metrics and prediction of each kind of task."""
