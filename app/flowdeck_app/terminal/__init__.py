"""The terminal that the app is a guest of: input, clipboard, editor, browser."""
