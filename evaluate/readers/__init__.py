"""Readers of the published benchmark layouts: from a folder and its label file to a GroundTruth."""
