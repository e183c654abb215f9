"""A run as it was at a moment of the past: decided from recorded states, and read like any run."""
