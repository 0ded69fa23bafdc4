"""The machine and the process, independent of attribution: signals, progress, process ids, addresses, configuration."""
