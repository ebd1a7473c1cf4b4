"""`demurrage report --redact` as its users call it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tests.analyzer.cli.conftest import Outcome
from tests.analyzer.cli.judged_database import ACCOUNT, URL, make_database

_KEY = "correct horse battery"


def test_no_name_is_in_the_files_or_in_the_answer(demurrage: Callable[..., Outcome], tmp_path: Path) -> None:
    make_database(tmp_path)
    named = demurrage("report", "--db", URL, "--output-dir", "named")
    assert ACCOUNT in named.out
    done = demurrage("report", "--db", URL, "--output-dir", "out", "--redact")
    assert done.status == named.status
    texts = [done.out, *(path.read_text() for path in (tmp_path / "out").iterdir())]
    assert len(texts) > 8
    for name in (ACCOUNT, "dev-1", "dev-2", "prod-"):
        assert [text for text in texts if name in text] == []
    assert "Names are pseudonyms" in done.out


def test_reports_of_one_key_can_be_compared(demurrage: Callable[..., Outcome], tmp_path: Path) -> None:
    make_database(tmp_path)
    texts = [
        json.loads(demurrage("report", "--db", URL, "--format", "json", "--redact", *more).out)
        for more in (("--redact-key", _KEY), ("--redact-key", _KEY), (), ())
    ]
    names = [{row["repository"] for row in text["repositories"]} for text in texts]
    assert names[0] == names[1]
    assert not names[0] & names[2]
    assert not names[2] & names[3]


def test_names_may_not_stand_beside_it(demurrage: Callable[..., Outcome], tmp_path: Path) -> None:
    make_database(tmp_path)
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "pulls.csv").write_text("names")
    (tmp_path / "policy.json").write_text("{}")
    for more, told in (
        (("--output-dir", "used"), "--redact: --output-dir used is not empty"),
        (("--output-dir", "new", "--policy", "policy.json"), "--redact leaves out what policies would do"),
        (("--output-dir", "new", "--publish", "folder"), "--redact makes a report to hand on"),
        (("--redact-key", "short"), "--redact-key is 5 characters long, which can be guessed"),
    ):
        outcome = demurrage("report", "--db", URL, "--redact", *more)
        assert outcome.status == 2
        assert told in outcome.err
        assert outcome.err.count("\n") == 1
