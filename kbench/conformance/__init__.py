"""What does a method keep to?  The contract as checks, for our own methods and for anybody's."""
