"""What the service says of itself while it runs: log lines, and metrics as files."""
