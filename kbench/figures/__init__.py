"""Figures of a comparison: a file per kind, drawn by matplotlib, each with the data that it shows."""
