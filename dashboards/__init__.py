"""Saved objects for OpenSearch Dashboards: photos, runs and quality, where users of OpenSearch already look."""
