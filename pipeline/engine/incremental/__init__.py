"""Occlusion that recomputes only what a window changes in each activation."""
