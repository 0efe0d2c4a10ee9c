"""What every rank runs: ``python -m kbench.worker RUN_DIR``."""
