"""The line view: a list of any length, drawn from the pages of a source."""
