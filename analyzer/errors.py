"""The errors that callers catch.

DemurrageError
├── InputError         what the user gave is wrong: exit status 2
│   └── SchemaError    the database's schema is not this program's
└── RunError           the work itself failed: exit status 1
    └── LeaseError     somebody else holds (or took over) a registry
"""

from __future__ import annotations


class DemurrageError(Exception):
    """Base of every expected failure; its text is one line a person can act on."""

    exit_status = 1

    @property
    def lines(self) -> tuple[str, ...]:
        """The text, to be printed line by line: one, for nearly every error."""
        return (str(self),)


class InputError(DemurrageError):
    """What the user gave cannot be used: says what, where, why and how to mend it."""

    exit_status = 2


class SchemaError(InputError):
    """The database's schema is older or newer than this program's."""


class RunError(DemurrageError):
    """A run could not do its work; the last good snapshot is kept."""


class LeaseError(RunError):
    """A registry is being collected by another process, or this one lost its lease."""
