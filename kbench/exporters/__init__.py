"""Results for others: what was measured, in formats that other tools read; nothing is filled in."""
