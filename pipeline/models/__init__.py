"""Loaders of classifiers: name and weights -> frozen network, preprocessing and class names; one loader a file."""
