"""A file for each data set: where its files come from, and how they are made ready."""
