"""The record: vocabulary, schema and I/O of the local store. Knows nothing of engine or app."""
