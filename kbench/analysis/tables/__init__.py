"""A comparison as tables, and the formats that they are printed in."""
