"""The runs of a sweep as a table."""
