"""flowdeck: run, watch and repair Python flows from a terminal."""
