"""What runs wanted shown, read."""
