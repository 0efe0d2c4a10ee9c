"""How runs reach machines."""
