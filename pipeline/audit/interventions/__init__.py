"""Interventions on the images: what the model does when a region is covered."""
