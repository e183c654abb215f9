"""Ending runs before they end by themselves: requests, signals, time limits, child processes."""
