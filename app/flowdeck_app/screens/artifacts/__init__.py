"""What a run wanted shown: the list of its artifacts, and one of them."""
