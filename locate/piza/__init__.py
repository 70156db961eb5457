"""PIZA (arXiv 2510.03701): a detector that zooms in step by step until it has found what a text says."""
