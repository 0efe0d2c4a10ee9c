"""Schedulers: a file each, with what it can do."""
