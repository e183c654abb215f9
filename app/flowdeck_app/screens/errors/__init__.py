"""What failed, as groups of the same error, and everything about one group."""
