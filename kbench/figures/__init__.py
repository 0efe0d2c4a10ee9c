"""Drawing it."""
