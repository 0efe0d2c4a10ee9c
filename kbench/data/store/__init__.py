"""Prepared data on the disk: manifest, arrays, index, where they are found, how they are staged."""
