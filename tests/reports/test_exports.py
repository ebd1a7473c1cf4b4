"""The package's public surface, and that naming it costs nothing."""

import subprocess
import sys

import pytest

import reports


def test_the_public_names_are_these_and_can_be_had() -> None:
    assert sorted(reports.__all__) == ["render_csvs", "render_html", "render_json", "write_report"]
    assert dir(reports) == sorted(reports.__all__)
    for name in reports.__all__:
        assert callable(getattr(reports, name))


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'render_pdf'"):
        getattr(reports, "render_pdf")  # noqa: B009 (a plain access would not pass the type checker)


def test_importing_the_package_brings_nothing_heavy() -> None:
    code = (
        "import sys, reports; "
        "print(*sorted({name.partition('.')[0] for name in sys.modules} & {'pandas', 'numpy', 'jinja2'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not done.stdout.strip()
