"""What runs print and log, on its way to the terminal and the record."""
