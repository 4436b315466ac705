"""The OpenAI-compatible front to LLM backends. Not built yet."""
