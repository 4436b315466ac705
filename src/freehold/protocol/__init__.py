"""What crosses a wire: link frames, HTTP schemas, the arena, the one error table."""
