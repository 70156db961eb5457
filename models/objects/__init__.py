"""Objects that nobody named: proposed by a detector, embedded as crops or by OWLv2 itself (arXiv 2306.09683)."""
