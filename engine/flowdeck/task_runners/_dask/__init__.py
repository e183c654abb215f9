"""The parts of DaskTaskRunner."""
