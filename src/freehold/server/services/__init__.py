"""What the platform can do, one noun a file: the HTTP routes and the dashboard's pages call these and nothing else."""
