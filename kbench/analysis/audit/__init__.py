"""The audit of a comparison: what may keep its numbers from meaning what they seem to."""
