"""In which order, and from when to when, widgets hear of keys, clicks and news."""
