"""What happened: run folders, journals, Parquet."""
