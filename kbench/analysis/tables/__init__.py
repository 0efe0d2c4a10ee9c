"""A comparison as tables, and each way to print them."""
