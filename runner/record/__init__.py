"""What was recorded: a run as it is read back, wherever it is kept, and its trajectory."""
