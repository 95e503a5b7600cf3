"""Writes the reference pages and takes the pictures of the docs."""
