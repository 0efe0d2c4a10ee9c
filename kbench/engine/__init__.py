"""The training engine: one loop for every strategy, and what it is made of."""
