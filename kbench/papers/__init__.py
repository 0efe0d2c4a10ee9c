"""What papers printed: data files with source, unit and caveats, and the models that check them."""
