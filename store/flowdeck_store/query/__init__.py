"""The filter language, from text to SQL conditions."""
