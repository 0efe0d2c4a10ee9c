"""What the ranks of a run need of their machine: rank and size, rendezvous, communication, background work."""
