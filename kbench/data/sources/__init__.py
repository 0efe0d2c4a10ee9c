"""Data sets in their published formats: a file each."""
