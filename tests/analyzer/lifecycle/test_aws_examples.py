"""The examples of the ECR user guide, one by one: its repositories, its policies, its results.

Where a page shows a policy without a repository, the repository here is made to stand on both sides
of what the page says of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest

from analyzer.lifecycle import evaluate, parse_policy

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)

# JSON as the AWS CLI has it.
_Json = dict[str, Any]


def ago(days: float | None) -> datetime | None:
    return None if days is None else NOW - timedelta(days=days)


def image(
    pushed: float,
    *tags: str,
    pulled: float | None = None,
    archived: float | None = None,
    restored: float | None = None,
    children: str = "",
    subject: str | None = None,
) -> _Json:
    """A row; all times in days before ``NOW``. Archived is what was not restored since."""
    is_archived = archived is not None and restored is None
    return {
        "tags": list(tags),
        "pushed_at": ago(pushed),
        "last_recorded_pull_time": ago(pulled),
        "status": "ARCHIVED" if is_archived else "ACTIVE",
        "archived_at": ago(archived),
        "activated_at": ago(restored),
        "children": [f"sha256:{child}" for child in children],
        "subject": subject and f"sha256:{subject}",
    }


def rule(priority: int, count_type: str, number: int, action: str = "expire", /, **selection: Any) -> _Json:
    """A rule as a document has it; tagStatus is any, or tagged where ``selection`` has a list."""
    has_list = bool({"tagPatternList", "tagPrefixList"} & selection.keys())
    selection = {
        "tagStatus": "tagged" if has_list else "any",
        "countType": count_type,
        "countNumber": number,
    } | selection
    if count_type != "imageCountMoreThan":
        selection["countUnit"] = "days"
    does = {"type": action} | ({"targetStorageClass": "archive"} if action == "transition" else {})
    return {"rulePriority": priority, "selection": selection, "action": does}


def leaving(repository: Mapping[str, _Json], *rules: _Json) -> dict[str, tuple[str, int]]:
    """Outcome and rule (0 for none) of each image that does not stay as it is, by its letter."""
    images = pd.DataFrame(
        [{"repository": "r", "digest": f"sha256:{name}"} | row for name, row in repository.items()],
        index=list(repository),
    )
    answer = evaluate(parse_policy(json.dumps({"rules": rules})), images, NOW)
    gone = answer[answer["outcome"] != "KEPT"]
    rules_of = gone["rule"].fillna(0).astype(int)
    return dict(zip(gone.index, zip(gone["outcome"], rules_of, strict=True), strict=True))


def expired(letters: str, by_rule: int = 1) -> dict[str, tuple[str, int]]:
    return dict.fromkeys(letters, ("EXPIRED", by_rule))


def archived(letters: str, by_rule: int = 1) -> dict[str, tuple[str, int]]:
    return dict.fromkeys(letters, ("TRANSITIONED", by_rule))


# "Examples of lifecycle policies in Amazon ECR" (lifecycle_policy_examples)


def test_filtering_on_image_age() -> None:
    repository = {
        "A": image(15, "prod-old"),
        "B": image(14, "prod-at-the-limit"),
        "C": image(13, "prod-new"),
        "D": image(30, "staging-old"),
        "E": image(30),
    }
    policy = rule(1, "sinceImagePushed", 14, tagPatternList=["prod*"])
    assert leaving(repository, policy) == expired("A")


def test_filtering_on_image_count() -> None:
    repository = {"A": image(4), "B": image(3), "C": image(2, "tagged"), "D": image(1)}
    policy = rule(1, "imageCountMoreThan", 1, tagStatus="untagged")
    assert leaving(repository, policy) == expired("AB")


MULTIPLE_RULES = {
    "A": image(10, "beta-1", "prod-1"),
    "B": image(9, "beta-2", "prod-2"),
    "C": image(8, "beta-3"),
}


@pytest.mark.parametrize("key", ["tagPatternList", "tagPrefixList"])
def test_filtering_on_multiple_rules_example_a(key: str) -> None:
    star = "*" if key == "tagPatternList" else ""
    first = rule(1, "imageCountMoreThan", 1, **{key: [f"prod{star}"]})
    second = rule(2, "imageCountMoreThan", 1, **{key: [f"beta{star}"]})
    # Rule 1 keeps B, and rule 2 may not touch what rule 1 has seen.
    assert leaving(MULTIPLE_RULES, first, second) == expired("A")


@pytest.mark.parametrize("key", ["tagPatternList", "tagPrefixList"])
def test_filtering_on_multiple_rules_example_b(key: str) -> None:
    star = "*" if key == "tagPatternList" else ""
    first = rule(1, "imageCountMoreThan", 1, **{key: [f"beta{star}"]})
    second = rule(2, "imageCountMoreThan", 1, **{key: [f"prod{star}"]})
    assert leaving(MULTIPLE_RULES, first, second) == expired("AB")


def test_filtering_on_multiple_tags_in_a_single_rule_example_a() -> None:
    repository = {
        "A": image(12, "alpha-1"),
        "B": image(11, "beta-1"),
        "C": image(10, "alpha-2", "beta-2"),
        "D": image(4, "alpha-3"),
        "E": image(3, "beta-3"),
        "F": image(2, "alpha-4", "beta-4"),
    }
    policy = rule(1, "sinceImagePushed", 5, tagPatternList=["alpha*", "beta*"])
    assert leaving(repository, policy) == expired("C")


def test_filtering_on_multiple_tags_in_a_single_rule_example_b() -> None:
    repository = {
        "A": image(10, "alpha-1", "beta-1", "gamma-1"),
        "B": image(9, "alpha-2", "beta-2"),
        "C": image(8, "alpha-3", "beta-3", "gamma-2"),
    }
    policy = rule(1, "imageCountMoreThan", 1, tagPatternList=["alpha*", "beta*"])
    assert leaving(repository, policy) == expired("AB")


def test_filtering_on_all_images_example_a() -> None:
    repository = {
        "A": image(4, "alpha-1"),
        "B": image(3, "beta-1"),
        "C": image(2),
        "D": image(1, "alpha-2"),
    }
    assert leaving(repository, rule(1, "imageCountMoreThan", 1)) == expired("ABC")


def test_filtering_on_all_images_example_b() -> None:
    repository = {
        "A": image(4, "alpha-1", "beta-1"),
        "B": image(3),
        "C": image(2, "alpha-2"),
        "D": image(1, "git hash"),
        "E": image(1),
    }
    policy = (
        rule(1, "imageCountMoreThan", 1, tagPatternList=["alpha*"]),
        # E was pushed a day ago, which is not more than a day.
        rule(2, "sinceImagePushed", 1, tagStatus="untagged"),
        # E counts as the newest though its push is as old as that of D, and keeps the one place.
        rule(3, "imageCountMoreThan", 1),
    )
    assert leaving(repository, *policy) == expired("A") | expired("B", 2) | expired("D", 3)


def test_archiving_images_older_than_a_number_of_days() -> None:
    repository = {
        "A": image(31, "prod-1"),
        "B": image(29, "prod-2"),
        "C": image(31, "dev-1"),
        "D": image(500, "prod-0", archived=400),
    }
    policy = rule(1, "sinceImagePushed", 30, "transition", tagPatternList=["prod*"])
    assert leaving(repository, policy) == archived("A")


def test_archiving_images_not_pulled_in_a_number_of_days() -> None:
    repository = {
        "A": image(200, "pulled-long-ago", pulled=91),
        "B": image(200, "pulled-lately", pulled=89),
        "C": image(91, "never-pulled"),
        "D": image(89, "new-and-never-pulled"),
        "E": image(300, "restored-lately", pulled=250, archived=100, restored=10),
        "F": image(500, "restored-and-forgotten", pulled=450, archived=300, restored=91),
        "G": image(500, "restored-and-used", pulled=20, archived=300, restored=91),
    }
    policy = rule(1, "sinceImagePulled", 90, "transition")
    assert leaving(repository, policy) == archived("ACF")


def test_expiring_images_by_the_time_of_their_archiving() -> None:
    repository = {
        "A": image(900, "v1", archived=366),
        "B": image(900, "v2", archived=364),
        "C": image(900, "v3"),
        "D": image(900, "v4", archived=800, restored=366),
    }
    policy = rule(1, "sinceImageTransitioned", 365, storageClass="archive")
    assert leaving(repository, policy) == expired("A")


def test_combining_archive_and_expire_rules() -> None:
    repository = {
        "A": image(31, "v3"),
        "B": image(29, "v4"),
        "C": image(800, "v1", archived=366),
        "D": image(700, "v2", archived=300),
    }
    policy = (
        rule(1, "sinceImagePushed", 30, "transition"),
        # An any rule in each class: the first shields nothing that is archived.
        rule(2, "sinceImageTransitioned", 365, storageClass="archive"),
    )
    assert leaving(repository, *policy) == archived("A") | expired("C", 2)


# "Lifecycle policy properties in Amazon ECR" (lifecycle_policy_parameters)


@pytest.mark.parametrize(
    ("pattern", "letters"), [("prod*", "ABD"), ("prod", "A"), ("*prod*", "ABCD"), ("*prod1", "BC")]
)
def test_tag_pattern_list(pattern: str, letters: str) -> None:
    repository = {
        "A": image(9, "prod"),
        "B": image(9, "prod1"),
        "C": image(9, "team1prod1"),
        "D": image(9, "prod2", "latest"),
        "E": image(9, "dev"),
    }
    policy = rule(1, "sinceImagePushed", 1, tagPatternList=[pattern])
    assert leaving(repository, policy) == expired(letters)


def test_rules_of_any_tag_status_are_evaluated_last_whatever_the_order_in_the_text() -> None:
    repository = {"A": image(9, "keep"), "B": image(8, "drop"), "C": image(7)}
    policy = (
        rule(30, "imageCountMoreThan", 1),
        rule(7, "imageCountMoreThan", 1000, tagPrefixList=["keep"]),
    )
    assert leaving(repository, *policy) == expired("B", 30)


def test_restored_images_are_ordered_by_their_restore() -> None:
    repository = {
        "A": image(500, "restored", archived=300, restored=1),
        "B": image(2, "newer-by-push"),
        "C": image(3, "oldest"),
    }
    assert leaving(repository, rule(1, "imageCountMoreThan", 1)) == expired("BC")


# "Automate the cleanup of images by using lifecycle policies in Amazon ECR" (LifecyclePolicies)


def test_all_rules_are_evaluated_at_once_and_then_applied_by_priority() -> None:
    """A marked image still fills a place that a later rule keeps."""
    repository = {"A": image(3, "tmp-1"), "B": image(4, "v1"), "C": image(5)}
    policy = (
        rule(1, "sinceImagePushed", 1, tagPatternList=["tmp*"]),
        rule(2, "imageCountMoreThan", 1),
    )
    assert leaving(repository, *policy) == expired("A") | expired("BC", 2)


def test_an_image_is_expired_or_archived_by_one_rule_or_none() -> None:
    repository = {"A": image(100, "x", "y"), "B": image(100, "x"), "C": image(100, "y")}
    policy = (
        rule(1, "sinceImagePushed", 30, "transition", tagPatternList=["x"]),
        rule(2, "sinceImagePushed", 60, tagPatternList=["y"]),
    )
    assert leaving(repository, *policy) == archived("AB") | expired("C", 2)


def test_an_image_is_expired_with_all_its_tags() -> None:
    repository = {"A": image(100, "old", "latest"), "B": image(100, "latest-but-other")}
    policy = rule(1, "sinceImagePushed", 30, tagPatternList=["old"])
    assert leaving(repository, policy) == expired("A")


@pytest.mark.parametrize(("action", "outcome"), [("expire", "EXPIRED"), ("transition", "TRANSITIONED")])
def test_what_a_manifest_list_names_stays_as_long_as_the_list(action: str, outcome: str) -> None:
    by_the_list = {"A": image(100), "B": image(100), "L": image(1, "v1", children="AB"), "C": image(100)}
    policy = rule(1, "sinceImagePushed", 30, action)
    assert leaving(by_the_list, policy) == {"C": (outcome, 1)}
    without_the_list = {name: row for name, row in by_the_list.items() if name != "L"}
    assert set(leaving(without_the_list, policy)) == set("ABC")


@pytest.mark.parametrize(("action", "outcome"), [("expire", "EXPIRED"), ("transition", "TRANSITIONED")])
def test_referrers_go_after_their_subject_and_by_no_rule(action: str, outcome: str) -> None:
    repository = {
        "A": image(100, "v1"),
        "S": image(99, subject="A"),
        "B": image(10, "v2"),
        "T": image(99, subject="B"),
        # Its subject is not there: an image like any other.
        "U": image(99, subject="Z"),
    }
    policy = rule(1, "sinceImagePushed", 30, action)
    assert leaving(repository, policy) == {"A": (outcome, 1), "S": (outcome, 0), "U": (outcome, 1)}
