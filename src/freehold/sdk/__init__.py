"""What user code imports: apps, functions, classes, images, volumes, secrets, and the client that reaches a server."""
