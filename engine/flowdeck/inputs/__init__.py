"""The arguments of a call: futures found in them, and what they were when they were given."""
