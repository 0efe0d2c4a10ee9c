"""A pair of the papers held against what was published of it: model, rate, loop, views, values."""
