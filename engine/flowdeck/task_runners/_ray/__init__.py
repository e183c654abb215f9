"""The parts of RayTaskRunner."""
