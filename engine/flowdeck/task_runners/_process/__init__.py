"""Worker processes of our own on this machine."""
