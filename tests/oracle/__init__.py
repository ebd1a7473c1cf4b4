"""Slow and obvious twins of the analyses, written from the definitions alone."""
