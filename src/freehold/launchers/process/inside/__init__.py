"""What runs inside a sandbox, as scripts of the standard library alone; nothing of the server imports it."""
