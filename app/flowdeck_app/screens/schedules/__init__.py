"""The flows that start by the clock."""
