"""What is to be run."""
