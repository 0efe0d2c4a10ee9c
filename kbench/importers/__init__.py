"""Results that others made, read into the same store: known columns only, nothing filled in."""
