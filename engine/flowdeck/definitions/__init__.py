"""What flows and tasks have in common as definitions: options, binding to classes, places in the source."""
