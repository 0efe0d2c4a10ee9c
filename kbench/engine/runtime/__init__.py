"""What the ranks of a run need of their machine: who they are, how they meet, how they talk."""
