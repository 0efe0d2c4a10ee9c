"""The program that starts a rank."""

from kbench.worker.rank import main

if __name__ == "__main__":
    main()
