"""Objects found without a query: proposed by a detector, embedded as crops or by OWLv2 itself (arXiv 2306.09683)."""
