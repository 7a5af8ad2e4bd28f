"""Workflows: definitions as data, the library of named ones, running one on an image."""
