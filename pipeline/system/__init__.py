"""What depends on the machine and not on attribution: signals, progress, paths, configuration files."""
