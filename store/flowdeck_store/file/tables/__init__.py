"""The tables of the record, what records into them, and the views that show them to others."""
