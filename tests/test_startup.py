"""``demurrage --help`` starts without the heavy libraries."""

from __future__ import annotations

import subprocess
import sys

#: Each takes longer to import than Python takes to start.
HEAVY = ("alembic", "boto3", "botocore", "jinja2", "moto", "numpy", "pandas", "rich", "sqlalchemy")

ASK_FOR_HELP = f"""
import sys
sys.argv = ["demurrage", "--help"]
from analyzer.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print("HEAVY", sorted(set({HEAVY!r}) & sys.modules.keys()))
"""


def test_help_imports_nothing_heavy() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ASK_FOR_HELP], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "Usage: demurrage" in done.stdout
    assert done.stdout.splitlines()[-1] == "HEAVY []"
