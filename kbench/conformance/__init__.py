"""The contract between loop and strategy as checks, for the built-in methods and for anybody's."""
