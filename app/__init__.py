"""The PIDEA backend: chat history on PostgreSQL with Redis in front."""
