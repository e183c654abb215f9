"""The graph of a run: where its nodes lie, what they look like, and how one walks over them. Pure."""
