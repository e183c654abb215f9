"""One run as a file of its own, and back, checked like anything that comes from outside."""
