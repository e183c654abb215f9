"""The first screen: flows, recent runs, health."""
