"""Interventions on images: effect on the model of covering a region."""
