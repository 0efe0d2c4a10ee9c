"""One self-contained page that says what an experiment showed, and what it did not."""
