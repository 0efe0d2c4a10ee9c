"""Doing it: one loop for every strategy."""
