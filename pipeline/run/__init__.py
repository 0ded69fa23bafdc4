"""What a job is, and the main loop that works on it: stream, explain, write, resume."""
