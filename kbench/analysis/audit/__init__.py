"""What a reader must know before believing a comparison."""
