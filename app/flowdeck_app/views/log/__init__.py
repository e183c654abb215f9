"""What makes a log shorter, and what gives an overview of it."""
