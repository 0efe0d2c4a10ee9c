"""The command line: it parses, calls the API, and prints.  Nothing but typer is imported before a command runs."""
