"""The models: SentenceTransformer and its relatives."""
