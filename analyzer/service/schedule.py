"""When the service runs: a line of crontab in a time zone, read as cron reads it.

APScheduler's own `CronTrigger` differs from cron in three ways that would surprise whoever moves a line of
crontab here, and so this trigger asks it and mends them:

* Its weekday 0 is Monday; cron's (crontab(5)) is Sunday, and so is 7.
* Where both day of month and weekday are restricted it wants both; cron is content with either.
* Where clocks are set back it fires at both of the moments that are called 02:30. cron (cron(8), "Daylight
  Saving Time") runs a job of a fixed hour once; one of every hour runs in every hour there is.

Where clocks are set forward, a moment that is left out is made up within the hour, as cron does.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta, tzinfo
from itertools import pairwise
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger

from analyzer.errors import InputError
from analyzer.model.units import from_ms, to_ms

_DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")
_NICKNAMES: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
#: Fire times that are listed at most; of an outage longer than that nobody needs each one.
_MOST: Final = 1_000
_PART = re.compile(r"(?P<first>[^-/]+)(?:-(?P<last>[^-/]+))?(?P<step>/[0-9]+)?")


class Schedule(BaseTrigger):  # type: ignore[misc]  # APScheduler has no types
    """A crontab expression in a time zone; an APScheduler trigger.

    Five fields (minute, hour, day of month, month, day of week), or six with the second before them, or
    one of ``@hourly``, ``@daily``, ``@weekly``, ``@monthly``, ``@yearly``. Names of months and days may be
    written for their numbers.
    """

    def __init__(self, expression: str, timezone: str) -> None:
        """Read ``expression``; raises InputError where it is none, never fires, or has no such time zone."""
        self.expression = " ".join(expression.split())
        self.timezone = timezone
        self._zone = _zone(timezone)
        try:
            self._triggers, self._has_fixed_hour = _triggers(self.expression, self._zone)
        except (ValueError, IndexError, TypeError) as error:
            raise InputError(
                f"--schedule {self.expression!r}: {error}; write a line of crontab such as '30 2 * * *': "
                "minute, hour, day of month, month, day of week"
            ) from error
        if self.get_next_fire_time(None, datetime(2026, 1, 1, tzinfo=UTC)) is None:
            raise InputError(
                f"--schedule {self.expression!r} names a day that never comes; write one that does"
            )

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """The first moment after ``previous_fire_time`` (or from ``now`` on, where it is None)."""
        # Counted in UTC: in a zone, a sum forgets which of two moments of one name it is about.
        after = now.astimezone(UTC)
        if previous_fire_time is not None:
            after = previous_fire_time.astimezone(UTC) + timedelta(microseconds=1)
        while True:
            moment = self._first_from(after)
            if moment is None:
                return None
            first = moment.astimezone(self._zone)
            if not (self._has_fixed_hour and first.fold):
                return first
            after = first.astimezone(UTC) + timedelta(seconds=1)

    def _first_from(self, after: datetime) -> datetime | None:
        """The first moment from ``after`` on, both in UTC."""
        first = self._asked(after)
        if first is None:
            return None
        # APScheduler steps over a moment on the day after the clocks were put forward: it is asked again
        # from the beginning of such days.
        day, last = (moment.astimezone(self._zone).date() for moment in (after, first))
        while day < last:
            day += timedelta(days=1)
            midnight = datetime.combine(day, time(), self._zone)
            if midnight.utcoffset() != (midnight - timedelta(days=2)).utcoffset():
                again = self._asked(midnight.astimezone(UTC))
                first = first if again is None else min(first, again)
        return first

    def _asked(self, after: datetime) -> datetime | None:
        local = after.astimezone(self._zone)
        found = [trigger.get_next_fire_time(None, local) for trigger in self._triggers]
        return min((moment.astimezone(UTC) for moment in found if moment is not None), default=None)

    def after(self, moment_ms: int) -> int | None:
        """The first moment after ``moment_ms``, both in milliseconds since 1970 UTC; None without one."""
        found = self.get_next_fire_time(from_ms(moment_ms), from_ms(moment_ms))
        return None if found is None else to_ms(found)

    def between(self, after_ms: int, until_ms: int, *, recent_ms: int) -> list[int]:
        """The moments after ``after_ms`` up to ``until_ms``, ascending.

        Of more than a thousand only the first thousand and those of the last ``recent_ms``.
        """
        found: list[int] = []
        at = after_ms
        while (moment := self.after(at)) is not None and moment <= until_ms:
            found.append(moment)
            at = moment
            if len(found) == _MOST:
                at = max(at, until_ms - recent_ms)
        return found

    def longest_pause_ms(self, now_ms: int) -> int:
        """The longest time between two of the next moments."""
        moments = [now_ms]
        while len(moments) < 11 and (following := self.after(moments[-1])) is not None:
            moments.append(following)
        return max((after - before for before, after in pairwise(moments[1:])), default=0)

    def __getstate__(self) -> dict[str, str]:
        return {"expression": self.expression, "timezone": self.timezone}

    def __setstate__(self, state: dict[str, str]) -> None:
        self.__init__(state["expression"], state["timezone"])  # type: ignore[misc]

    def __str__(self) -> str:
        return f"{self.expression} ({self.timezone})"


def _zone(name: str) -> tzinfo:
    if name.upper() == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InputError(
            f"--timezone {name!r} is no time zone; write one like Europe/Berlin, or UTC"
        ) from error


def _triggers(expression: str, zone: tzinfo) -> tuple[list[Any], bool]:
    """What APScheduler is to be asked, and whether the hours are fixed ones. Raises ValueError."""
    fields = _NICKNAMES.get(expression.lower(), expression).lower().split()
    if len(fields) not in {5, 6}:
        raise ValueError(f"it has {len(fields)} field{'' if len(fields) == 1 else 's'}, not 5")
    second = fields.pop(0) if len(fields) == 6 else "0"
    minute, hour, day, month, weekday = fields
    common = {"second": second, "minute": minute, "hour": hour, "month": month, "timezone": zone}
    days = {"day": day, "day_of_week": ",".join(_weekdays(part) for part in weekday.split(","))}
    # cron(5): a field that begins with an asterisk restricts nothing.
    if day.startswith("*") or weekday.startswith("*"):
        return [CronTrigger(**common, **days)], not hour.startswith("*")
    return [CronTrigger(**common, **{name: days[name]}) for name in days], not hour.startswith("*")


def _weekdays(part: str) -> str:
    """One part of cron's field of weekdays in APScheduler's names. Raises ValueError."""
    if part.startswith("*"):
        return part if part == "*" else _stepped(0, 6, part[1:])
    found = _PART.fullmatch(part)
    if found is None:
        raise ValueError(f"{part!r} is no day of the week")
    first = _weekday(found["first"])
    if found["last"] is None:
        return _DAYS[first] if found["step"] is None else _stepped(first, 6, found["step"])
    last = _weekday(found["last"])
    if last < first:
        # fri-sun: Sunday is also the last day of the week.
        last += 7 if last == 0 else 0
    if last < first:
        raise ValueError(f"{part!r} ends before it begins")
    return _stepped(first, last, found["step"] or "/1")


def _stepped(first: int, last: int, step: str) -> str:
    width = int(step[1:]) if re.fullmatch(r"/[0-9]+", step) else 0
    if not width:
        raise ValueError(f"{step!r} is no step")
    return ",".join(_DAYS[day] for day in range(first, last + 1, width))


def _weekday(word: str) -> int:
    if word.isdecimal() and int(word) <= 7:
        return int(word)
    if word in _DAYS:
        return _DAYS.index(word)
    raise ValueError(f"{word!r} is no day of the week")
