"""What is kept of an exception, as data."""
