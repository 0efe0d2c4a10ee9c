"""The program that starts a rank."""

from kbench.worker.work import main

if __name__ == "__main__":
    main()
