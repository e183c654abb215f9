"""Typed reads of the record, and the shapes in which it goes out."""
