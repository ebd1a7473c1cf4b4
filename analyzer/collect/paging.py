"""Answers that come in pages, of services that call the token NextToken."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from analyzer.collect.clients import ServiceClient
from analyzer.collect.refusals import Reach, Refusal, RefusedError


def pages(client: ServiceClient, operation: str, **parameters: Any) -> Iterator[Mapping[str, Any]]:
    """The pages of a call, as they come; a page may be empty and not be the last.

    Raises RefusedError when a page is refused, or comes with the token that it was asked for with.
    """
    more: dict[str, Any] = {}
    while True:
        page = client.call(operation, **parameters, **more)
        yield page
        following = page.get("NextToken")
        if not following:
            return
        if following == more.get("NextToken"):
            detail = "the same page token came twice in a row"
            raise RefusedError(Refusal("InvalidAnswer", Reach.CALL, detail))
        more = {"NextToken": following}


def entries(page: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """The objects of the list ``key`` of a page; raises RefusedError where there is no such list."""
    rows = page.get(key)
    if not isinstance(rows, list):
        raise RefusedError(Refusal("InvalidAnswer", Reach.CALL, f"the answer holds no list {key}"))
    return [row for row in rows if isinstance(row, Mapping)]
