"""Run the command line as ``python -m kbench``."""

from kbench.cli.app import main

main()
