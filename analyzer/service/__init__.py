"""The scheduled service: one server at a time runs the night, and every server answers over HTTP.

Below the command line, which owns options and signals; what a night consists of is given to it as steps.
"""
