"""What runs inside an instance: loads the user's code, forks from the warm parent, executes inputs, serves web endpoints."""
