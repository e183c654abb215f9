"""Ways to start runs other than one at once: in turn, again at changes, many at a time."""
