"""Checks of registries: one table of them, one function each, over what is known and nothing else."""
