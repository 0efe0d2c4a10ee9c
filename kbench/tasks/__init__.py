"""Tasks: what the loss, the correctness and the score of a sample are."""
