"""Model servers: batching, versions, VRAM. Not built yet."""
