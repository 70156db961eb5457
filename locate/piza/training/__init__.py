"""Trains PIZA from box annotations in files: adapters, norms, zoom embedding and history encoder."""
