"""Comparing strategies with their matched baseline: rows, intervals, targets, transfers, findings, tables."""
