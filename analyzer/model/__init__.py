"""The bottom layer: units, records, frames and results. It imports nothing else of ours."""
