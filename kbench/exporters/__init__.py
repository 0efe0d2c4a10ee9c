"""Exporters: measured results in formats that other tools read; nothing is filled in."""
