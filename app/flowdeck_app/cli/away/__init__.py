"""``--host``: verbs and the app on another machine, through ssh and the flowdeck that is there."""
