"""Name and weights -> a frozen classifier with its own preprocessing and class names, one loader a file."""
