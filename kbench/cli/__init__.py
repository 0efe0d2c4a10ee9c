"""Asking for it.  Nothing but typer is imported before a command runs."""
