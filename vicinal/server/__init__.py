"""The server: one process that answers in the languages of OpenAI, Cohere, Jina, text-embeddings-inference, Ollama."""
