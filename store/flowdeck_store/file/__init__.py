"""The files below the home folder: the database, its schema, the locks round them and their holders."""
