"""Prepared data on the disk: how it is made ready, found, opened, verified and staged."""
