"""Nothing is ever formatted into SQL: texts from outside reach the database as parameters alone."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import analyzer.store
from analyzer.store.schema import migrations_folder

_RUNS_SQL = {"text", "exec_driver_sql", "execute", "executemany", "executescript", "literal_column"}
_SOURCES = sorted(
    [*Path(analyzer.store.__path__[0]).glob("*.py"), *migrations_folder().rglob("*.py")],
    key=lambda path: path.name,
)


@pytest.mark.parametrize("source", _SOURCES, ids=lambda path: path.name)
def test_statements_are_expressions_or_constants(source: Path) -> None:
    built = [
        f"{source.name}:{call.lineno}"
        for call in ast.walk(ast.parse(source.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call)
        and (getattr(call.func, "attr", None) or getattr(call.func, "id", None)) in _RUNS_SQL
        and call.args
        and (
            isinstance(call.args[0], ast.JoinedStr | ast.BinOp)
            or (isinstance(call.args[0], ast.Call) and getattr(call.args[0].func, "attr", "") == "format")
        )
    ]
    assert built == []
