"""Hypothesis strategies, and the plain descriptions that they and hand-written examples build on."""
