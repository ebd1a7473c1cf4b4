"""Images that people name: those in use, those to protect, and how each way of naming is read."""

from analyzer.references.asked import AskedUses, FoundUses, find_asked_uses
from analyzer.references.in_use import InUse, find_in_use
from analyzer.references.parsing import ImageReference, RegistryKind, parse_reference
from analyzer.references.protection import Protected, Protection, find_protected, parse_protect
from analyzer.references.reading import read_references
from analyzer.references.usage import coverage_of, find_usage, up_to, use_words

__all__ = [
    "AskedUses",
    "FoundUses",
    "ImageReference",
    "InUse",
    "Protected",
    "Protection",
    "RegistryKind",
    "coverage_of",
    "find_asked_uses",
    "find_in_use",
    "find_protected",
    "find_usage",
    "parse_protect",
    "parse_reference",
    "read_references",
    "up_to",
    "use_words",
]
