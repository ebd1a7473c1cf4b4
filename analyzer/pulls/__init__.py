"""Pulls out of CloudTrail's records: pure functions of bytes and records."""
