"""Jobs, their options, and the main loop that performs them: stream, explain, write, resume."""
