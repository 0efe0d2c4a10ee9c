"""Tasks: what a sample's loss, correctness and confidence are, and how good a model is on a set of samples."""
