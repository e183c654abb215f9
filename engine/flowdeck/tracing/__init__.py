"""Flow runs and task runs as spans of OpenTelemetry, for those who set ``otel``."""
