"""What happens to a run from its first state to its last, and who carries it out."""
