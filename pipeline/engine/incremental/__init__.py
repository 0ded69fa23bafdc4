"""Incremental occlusion: recompute only what a window changes in each activation."""
