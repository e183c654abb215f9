"""What a run says of itself: how far it is, and things that it wants shown."""
