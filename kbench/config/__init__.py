"""Experiment, site and recipe files: read from YAML, validated, expanded into runs."""
