"""Recommended policies as what is run: Terraform resources, and a script of the AWS CLI.

The script changes nothing unless it is told to: it has ECR preview every policy first, and puts one
only where ECR would not take notably more than was worked out here.
"""

from __future__ import annotations

import re
import shlex
from typing import Final

from analyzer.lifecycle.parsing import parse_policy
from analyzer.lifecycle.writing import policy_json, policy_terraform
from analyzer.model.recommendation import Recommendation, RecommendReport
from analyzer.model.units import iso
from analyzer.model.words import counted
from reports.recommend_words import advice, needed_words, range_words
from reports.text import visible

#: ECR's preview may say so much more than expected before a policy is not put: images come and go.
_SLACK: Final = 10

_SCRIPT: Final = r"""
set -u

apply=no
case "${1:-}" in
  "") ;;
  --apply) apply=yes ;;
  *) echo "usage: $0 [--apply]" >&2; exit 2 ;;
esac
own=$(aws sts get-caller-identity --query Account --output text) || exit 1
status=0

# Region, account, repository, images that the policy takes, most that ECR may say, policy.
policy() {
  if [ "$2" != "$own" ]; then
    echo "$2/$1/$3: skipped, these credentials belong to $own"
    return
  fi
  where="--region $1 --registry-id $2"
  if ! aws ecr start-lifecycle-policy-preview $where --repository-name "$3" \
      --lifecycle-policy-text "$6" >/dev/null ||
    ! aws ecr wait lifecycle-policy-preview-complete $where --repository-name "$3" ||
    ! count=$(aws ecr get-lifecycle-policy-preview $where --repository-name "$3" --no-paginate \
      --query summary.expiringImageTotalCount --output text); then
    echo "$2/$1/$3: no preview, nothing put" >&2
    status=1
    return
  fi
  echo "$2/$1/$3: ECR would take $count, expected $4"
  case "$count" in
    "" | *[!0-9]*) echo "$2/$1/$3: ECR gave no count, nothing put" >&2; status=1; return ;;
  esac
  if [ "$count" -gt "$5" ]; then
    echo "$2/$1/$3: that is more than expected, nothing put; collect again and ask anew" >&2
    status=1
    return
  fi
  if [ "$apply" = yes ]; then
    if aws ecr put-lifecycle-policy $where --repository-name "$3" \
        --lifecycle-policy-text "$6" >/dev/null; then
      echo "$2/$1/$3: put"
    else
      status=1
    fi
  fi
}

"""


def terraform_text(report: RecommendReport) -> str:
    """A resource for each policy to put, with what it takes and saves above it.

    Where there are several registries each resource names its provider by an alias.
    """
    rows = advice(report)
    places = sorted({(row.account, row.region) for row in rows})
    several = len(places) > 1
    lines = [f"# {line}" for line in _head(report, rows)]
    if several:
        lines.append("#")
        lines.append("# Each registry needs a provider of the alias that its resources name:")
        lines += [f"#   aws.{_alias(*place)}: account {place[0]}, region {place[1]}" for place in places]
    parts = ["\n".join(lines) + "\n"]
    for row in rows:
        if row.policy_text is None:
            continue
        place = _alias(row.account, row.region) if several else ""
        resource = policy_terraform(parse_policy(row.policy_text), row.repository, place)
        parts.append(f"\n# {_said(row)}\n{resource}")
    return "".join(parts)


def script_text(report: RecommendReport) -> str:
    """A script for POSIX shells that has each policy previewed and, with --apply, puts it."""
    rows = advice(report)
    lines = ["#!/bin/sh", *(f"# {line}" for line in _head(report, rows))]
    lines += [
        "#",
        "# Without arguments it changes nothing: it asks ECR to preview each policy. With --apply it puts",
        "# those whose preview takes no more than was expected. What is of another account is skipped.",
    ]
    calls = []
    for row in rows:
        if row.policy_text is None or row.effect is None:
            continue
        expected = row.effect.expired
        words = (
            row.region,
            row.account,
            row.repository,
            str(expected),
            str(expected + max(_SLACK, expected // 10)),
            policy_json(parse_policy(row.policy_text)),
        )
        calls.append(f"# {_said(row)}\npolicy {' '.join(map(shlex.quote, words))}\n")
    return "\n".join(lines) + "\n" + _SCRIPT + "\n".join(calls) + "\nexit $status\n"


def _head(report: RecommendReport, rows: list[Recommendation]) -> list[str]:
    number = counted(len(rows), "lifecycle policy", "lifecycle policies")
    saves = range_words(report.saving_low, report.saving_high)
    lines = [f"{number} recommended by demurrage at {iso(report.at)}, saving {saves} a month."]
    return [*lines, needed_words(report), *(visible(warning) for warning in report.warnings)]


def _said(row: Recommendation) -> str:
    taken = 0 if row.effect is None else row.effect.leaving
    saves = range_words(row.saving_low, row.saving_high)
    return visible(f"{row.repository}: takes {counted(taken, 'image')}, saves {saves} a month")


def _alias(account: str, region: str) -> str:
    """The alias of a registry's provider: letters, digits and underscores."""
    return re.sub("[^A-Za-z0-9_]", "_", f"registry_{account}_{region}")
