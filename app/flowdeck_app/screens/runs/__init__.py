"""The history of all runs."""
