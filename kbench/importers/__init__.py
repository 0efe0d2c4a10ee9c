"""Importers: results of others, read into the same store; known columns only, nothing filled in."""
