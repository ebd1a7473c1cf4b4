"""Lifecycle policies as the text that ECR, Terraform and the AWS CLI take.

The text is for pasting: characters that nobody sees (line ends, right-to-left overrides, joiners) are
written as escapes, so that a reader sees all of what a file or a shell gets.
"""

from __future__ import annotations

import json
import re
import shlex
import unicodedata
from collections.abc import Mapping
from typing import Any, Final

from analyzer.lifecycle.parsing import LONGEST
from analyzer.lifecycle.policy import Action, CountType, Policy, Rule, StorageClass

#: Control, format and surrogate characters, line and paragraph separators.
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
#: What stands for the separators of a repository's name in a Terraform name.
_TERRAFORM_NAME: Final = {"/": "__", ".": "--"}
_HCL_ESCAPES: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\"}


def policy_json(policy: Policy, *, indent: int | None = None) -> str:
    """``policy`` as the JSON that ECR takes; ``parse_policy`` gives the same policy back.

    Rules stand by priority and keys in the order of AWS's guide; what is the default (the class
    standard) or empty is left out. Without ``indent`` it is on one line without spaces and never
    longer than another text of the same policy, so that it keeps ECR's limit of 30,720 characters
    where any text does; with ``indent`` spaces a level a large policy may exceed that.
    """
    separators = (",", ":") if indent is None else (",", ": ")
    raw = json.dumps(_document(policy), ensure_ascii=False, indent=indent, separators=separators)
    if len(raw) <= LONGEST and raw.isascii() and raw.replace("\n", "").isprintable():
        # As nearly all are: nothing in it needs a second look.
        return raw
    # Line feeds are layout here: json.dumps has escaped those inside strings.
    text = "".join(_json_escape(each) if _is_unseen(each) and each != "\n" else each for each in raw)
    if len(text) <= LONGEST:
        return text
    return re.sub("[\ud800-\udfff]", lambda match: _json_escape(match[0]), raw)


def policy_terraform(policy: Policy, repository: str, place: str = "") -> str:
    """``policy`` as a Terraform resource for ``repository``, laid out as ``terraform fmt`` does.

    The resource's name says the repository's, one to one for names that ECR allows. Where repositories
    of several registries are written, ``place`` is what tells theirs apart: it ends the name, and
    is the alias of the provider. Terraform has no way to write half of a surrogate pair; it becomes
    U+FFFD.
    """
    suffix, provider = (f"--{place}", f"  provider   = aws.{place}\n") if place else ("", "")
    return (
        f'resource "aws_ecr_lifecycle_policy" "{_terraform_name(repository)}{suffix}" {{\n'
        f"{provider}"
        f"  repository = {hcl_string(repository)}\n"
        "\n"
        f"  policy = jsonencode({_hcl(_document(policy), '  ')})\n"
        "}\n"
    )


def policy_cli(policy: Policy, repository: str, region: str | None = None, account: str | None = None) -> str:
    """The AWS CLI command that sets ``policy``, on one line, quoted for POSIX shells.

    It replaces whatever policy the repository has. Without ``region`` and ``account`` the CLI takes
    those of its own configuration.
    """
    words = ["aws", "ecr", "put-lifecycle-policy"]
    if region is not None:
        words += ["--region", region]
    if account is not None:
        words += ["--registry-id", account]
    words += ["--repository-name", repository, "--lifecycle-policy-text", policy_json(policy)]
    return shlex.join(words)


def _document(policy: Policy) -> dict[str, Any]:
    return {"rules": [_rule(rule) for rule in sorted(policy.rules, key=lambda rule: rule.priority)]}


def _rule(rule: Rule) -> dict[str, Any]:
    selection: dict[str, Any] = {"tagStatus": rule.tag_status.value}
    if rule.tag_patterns:
        selection["tagPatternList"] = list(rule.tag_patterns)
    if rule.tag_prefixes:
        selection["tagPrefixList"] = list(rule.tag_prefixes)
    if rule.storage_class is not StorageClass.STANDARD:
        selection["storageClass"] = rule.storage_class.value
    selection["countType"] = rule.count_type.value
    if rule.count_type is not CountType.IMAGE_COUNT_MORE_THAN:
        selection["countUnit"] = "days"
    selection["countNumber"] = rule.count_number
    action = {"type": rule.action.value}
    if rule.action is Action.TRANSITION:
        action["targetStorageClass"] = StorageClass.ARCHIVE.value
    described = {} if rule.description is None else {"description": rule.description}
    return {"rulePriority": rule.priority, **described, "selection": selection, "action": action}


def _is_unseen(character: str) -> bool:
    return unicodedata.category(character) in _UNSEEN


def _json_escape(character: str) -> str:
    # What is beyond U+FFFF takes two escapes.
    return json.dumps(character)[1:-1] if character != "\x7f" else "\\u007f"


def _terraform_name(repository: str) -> str:
    """A name that Terraform allows: letters, digits, ``_`` and ``-``, not beginning with a digit.

    ECR allows no two separators in a row, so doubled ones are free to stand for ``/`` and ``.``.
    """
    name = "".join(
        _TERRAFORM_NAME.get(each) or (each if re.fullmatch("[A-Za-z0-9_-]", each) else f"_x{ord(each):x}_")
        for each in repository
    )
    return name if re.match("[A-Za-z]", name) else f"_{name}"


def _hcl(value: Any, margin: str) -> str:
    """A value as HCL behind ``=`` on a line with ``margin`` spaces: objects and their lists on many lines."""
    if isinstance(value, Mapping):
        inner = f"{margin}  "
        lines = [f"{inner}{name} = {text}\n" for name, text in _aligned(value, inner)]
        return f"{{\n{''.join(lines)}{margin}}}"
    if isinstance(value, list):
        if value and isinstance(value[0], Mapping):
            inner = f"{margin}  "
            entries = ",\n".join(f"{inner}{_hcl(entry, inner)}" for entry in value)
            return f"[\n{entries}\n{margin}]"
        return f"[{', '.join(_hcl(entry, margin) for entry in value)}]"
    return hcl_string(value) if isinstance(value, str) else str(value)


def _aligned(attributes: Mapping[str, Any], margin: str) -> list[tuple[str, str]]:
    """Names padded so that the equals signs of neighbouring one-line attributes stand in one column."""
    written = [(name, _hcl(value, margin)) for name, value in attributes.items()]
    width = max((len(name) for name, text in written if "\n" not in text), default=0)
    return [(name if "\n" in text else name.ljust(width), text) for name, text in written]


def hcl_string(text: str) -> str:
    """``text`` as a string of HCL, in quotes; nothing in it is taken for a template."""
    escaped = "".join(map(_hcl_escape, text))
    return '"' + escaped.replace("${", "$${").replace("%{", "%%{") + '"'


def _hcl_escape(character: str) -> str:
    if character in _HCL_ESCAPES:
        return _HCL_ESCAPES[character]
    category = unicodedata.category(character)
    if category == "Cs":
        return "\\ufffd"
    if category not in _UNSEEN:
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
