"""What task runs and processes use: processor time, memory, bytes read and written."""
