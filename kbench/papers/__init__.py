"""Published numbers: what papers printed, beside measured results and held against imported logs."""
