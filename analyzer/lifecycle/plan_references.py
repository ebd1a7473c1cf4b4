"""What a Terraform plan knows beside the change itself: planned values and the configuration.

An argument that is known only after apply (``aws_ecr_repository.app.id`` of a repository that is
still to be made) is followed through the references that the configuration lists, which may lead
through variables of modules, their outputs and ``each.value``, to a repository whose name is
planned. The document holds what an expression refers to, never the expression itself, so only
references that lead to one place alone are followed, and only to attributes that are the name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

_REPOSITORY: Final = "aws_ecr_repository"
#: Attributes of a repository whose value is its name.
_NAMES: Final = frozenset({"", "name", "id"})
#: Longest chain of references followed; a configuration that loops is no configuration.
_LONGEST: Final = 30

_INDEX = r'\[(?:"(?:[^"\\]|\\.)*"|[0-9]+)\]'
_MODULE_STEP = re.compile(rf'module\.([^.\[\]"]+)({_INDEX})?(?:\.|\Z)')
#: The head of a reference (two words), an index, and the attribute that follows.
_REFERENCE = re.compile(rf'([^.\[\]"]+)\.([^.\[\]"]+)({_INDEX})?(?:\.([^.\[\]"]+))?')

_Key = str | int | None


class _Step(NamedTuple):
    """One module call on the way to a resource, and which instance of it."""

    name: str
    key: _Key


_Path = tuple[_Step, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """What the references of a policy's ``repository`` lead to."""

    #: Name of the repository, None where they lead to none.
    name: str | None = None
    #: Planned values of the repository, empty where nothing is known of it.
    values: Mapping[str, Any] = field(default_factory=dict)
    #: In words: where the name comes from, or why there is none.
    how: str = ""


class PlanReferences:
    """The values and configuration of one plan."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._variables = as_object(document.get("variables"))
        configuration = as_object(document.get("configuration"))
        self._root = as_object(configuration.get("root_module"))
        self._providers = as_object(configuration.get("provider_config"))
        #: Instances of every repository: by module instance and resource name, then by their key.
        self._repositories: dict[tuple[_Path, str], dict[_Key, Mapping[str, Any]]] = {}
        prior = as_object(as_object(document.get("prior_state")).get("values"))
        for values in (prior, as_object(document.get("planned_values"))):
            for resource in _resources(as_object(values.get("root_module"))):
                self._note(resource, as_object(resource.get("values")))
        changes = document.get("resource_changes")
        for entry in _objects(changes):
            change = as_object(entry.get("change"))
            if isinstance(change.get("after"), dict) and "deposed" not in entry:
                self._note(entry, change["after"])

    def repository_of(self, entry: Mapping[str, Any]) -> Found:
        """What ``repository`` of the policy ``entry`` (of resource_changes) leads to."""
        path = _module_path(entry.get("module_address"))
        resource = self._configured(path, entry)
        if path is None or resource is None:
            return Found(how="it is not in the configuration")
        expression = as_object(as_object(resource.get("expressions")).get("repository"))
        key = _key(entry.get("index"))
        loop = as_object(resource.get("for_each_expression"))
        return self._follow(expression, path, key, loop, _LONGEST)

    def provider_of(self, entry: Mapping[str, Any]) -> Mapping[str, Any]:
        """``region`` and ``account`` of the provider of ``entry``, as far as the configuration says."""
        resource = self._configured(_module_path(entry.get("module_address")), entry)
        name = as_object(resource).get("provider_config_key")
        provider = as_object(self._providers.get(name)) if isinstance(name, str) else {}
        # The configuration of a provider inside a module speaks of that module's variables.
        is_root = not provider.get("module_address")
        expressions = as_object(provider.get("expressions"))
        account = self._only(expressions.get("allowed_account_ids"), is_root=is_root)
        if account is None:
            roles = _objects(expressions.get("assume_role"))
            arns = [self._constant(role.get("role_arn"), is_root=is_root) for role in roles]
            # A chain of roles ends with the last one.
            parts = arns[-1].split(":") if arns and isinstance(arns[-1], str) else []
            account = parts[4] if len(parts) > 5 and parts[2] == "iam" else None
        return {"region": self._constant(expressions.get("region"), is_root=is_root), "account": account}

    def _only(self, expression: object, *, is_root: bool) -> object:
        """The one element of a list, None where there are none or several."""
        value = self._constant(expression, is_root=is_root)
        return value[0] if isinstance(value, list) and len(value) == 1 else None

    def _constant(self, expression: object, *, is_root: bool) -> object:
        """Value of an expression that is a constant, or refers to one variable of the root module."""
        found = as_object(expression)
        if "constant_value" in found:
            return found["constant_value"]
        references = _texts(found.get("references"))
        if is_root and len(references) == 1 and references[0].startswith("var."):
            return as_object(self._variables.get(references[0].removeprefix("var."))).get("value")
        return None

    def _note(self, resource: Mapping[str, Any], values: Mapping[str, Any]) -> None:
        """Remember the values of a repository; what is said later counts more."""
        if resource.get("type") != _REPOSITORY or resource.get("mode", "managed") != "managed":
            return
        path, name = _module_path(_module_of(resource)), resource.get("name")
        if path is None or not isinstance(name, str):
            return
        instances = self._repositories.setdefault((path, name), {})
        key = _key(resource.get("index"))
        instances[key] = {**instances.get(key, {}), **values}

    def _module(self, path: _Path) -> Mapping[str, Any]:
        """Configuration of the module at ``path``."""
        module = self._root
        for step in path:
            module = as_object(self._call(module, step.name).get("module"))
        return module

    @staticmethod
    def _call(module: Mapping[str, Any], name: str) -> Mapping[str, Any]:
        return as_object(as_object(module.get("module_calls")).get(name))

    def _configured(self, path: _Path | None, entry: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The configuration of a resource, None where it is not there (any more)."""
        if path is None:
            return None
        wanted = (entry.get("type"), entry.get("name"))
        for resource in _objects(self._module(path).get("resources")):
            if (resource.get("type"), resource.get("name")) == wanted and resource.get("mode") != "data":
                return resource
        return None

    def _follow(
        self, expression: Mapping[str, Any], path: _Path, key: _Key, loop: Mapping[str, Any], steps: int
    ) -> Found:
        """What ``expression`` inside the module instance ``path`` leads to.

        ``key`` and ``loop`` (its for_each) are those of the resource or module call it stands in.
        """
        constant = expression.get("constant_value")
        if isinstance(constant, str):
            return Found(constant, how="a constant of the configuration")
        references = _texts(expression.get("references"))
        heads = {(match[1], match[2]) for one in references if (match := _REFERENCE.match(one))}
        # An index, as in app[each.key].
        loops = {("each", "key"), ("count", "index")}
        if len(heads) > 1:
            heads -= loops
        if not references or len(heads) != 1 or steps == 0:
            said = ", ".join(references)[:200]
            return Found(how=f"its configuration refers to {said}" if said else "")
        ((kind, name),) = heads
        of_head = [match for one in references if (match := _REFERENCE.match(one)) and match[1] == kind]
        indexed = [match[3] for match in of_head if match[3]]
        attributes = {match[4] for match in of_head if match[4]}
        uses_key = any(one.startswith(("each.", "count.")) for one in references)
        instance = _index(indexed[0]) if indexed else key if uses_key else None
        if kind == _REPOSITORY:
            return self._repository(path, name, instance, attributes)
        if (kind, name) == ("each", "value"):
            return self._each(loop, path, key, of_head)
        if kind == "var":
            return self._variable(name, path, steps)
        if kind == "module":
            output = next(iter(attributes)) if len(attributes) == 1 else ""
            module = as_object(self._call(self._module(path), name).get("module"))
            inner = as_object(as_object(as_object(module.get("outputs")).get(output)).get("expression"))
            return self._follow(inner, (*path, _Step(name, instance)), None, {}, steps - 1)
        return Found(how=f"its configuration refers to {kind}.{name}")

    def _variable(self, name: str, path: _Path, steps: int) -> Found:
        if not path:
            value = as_object(self._variables.get(name)).get("value")
            return Found(value, how=f"variable {name}") if isinstance(value, str) else Found()
        *outer, step = path
        call = self._call(self._module(tuple(outer)), step.name)
        expression = as_object(as_object(call.get("expressions")).get(name))
        loop = as_object(call.get("for_each_expression"))
        return self._follow(expression, tuple(outer), step.key, loop, steps - 1)

    def _each(
        self, loop: Mapping[str, Any], path: _Path, key: _Key, matches: Sequence[re.Match[str]]
    ) -> Found:
        """``each.value`` of a for_each over the instances of one repository resource."""
        over = {(m[1], m[2]) for one in _texts(loop.get("references")) if (m := _REFERENCE.match(one))}
        if len(over) == 1:
            ((kind, name),) = over
            if kind == _REPOSITORY:
                return self._repository(path, name, key, {match[4] or "" for match in matches} - {""})
        return Found(how="its configuration refers to each.value")

    def _repository(self, path: _Path, name: str, key: _Key, attributes: set[str]) -> Found:
        where = f"{_REPOSITORY}.{name}"
        instances = self._repositories.get((path, name), {})
        values = instances.get(key)
        if values is None and key is None and len(instances) == 1:
            (values,) = instances.values()
        if values is None:
            return Found(how=f"its configuration refers to {where}, of which no instance is planned")
        known = values.get("name")
        if not attributes <= _NAMES or not isinstance(known, str):
            return Found(values=values, how=f"its configuration refers to {where}")
        return Found(known, values, f"the planned name of {where}")


def as_object(value: object) -> Mapping[str, Any]:
    """``value`` where it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def _objects(value: object) -> Iterator[Mapping[str, Any]]:
    for one in value if isinstance(value, list) else ():
        if isinstance(one, dict):
            yield one


def _texts(value: object) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _resources(module: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The resources of a module's values and of all modules below it."""
    waiting = [module]
    while waiting:
        one = waiting.pop()
        yield from _objects(one.get("resources"))
        waiting += _objects(one.get("child_modules"))


def _module_of(resource: Mapping[str, Any]) -> object:
    """Address of the module instance that holds a resource; values have it in the resource's own."""
    if "module_address" in resource or "change" in resource:
        return resource.get("module_address")
    address = resource.get("address")
    if not isinstance(address, str):
        return None
    end = 0
    while match := _MODULE_STEP.match(address, end):
        end = match.end()
    return address[:end].removesuffix(".")


def _module_path(address: object) -> _Path | None:
    """The steps of a module instance's address, None where it cannot be read."""
    if not isinstance(address, str) or not address:
        return () if address in (None, "") else None
    steps, end = [], 0
    while match := _MODULE_STEP.match(address, end):
        steps.append(_Step(match[1], _index(match[2])))
        end = match.end()
    return tuple(steps) if end == len(address) else None


def _index(text: str | None) -> _Key:
    """The key that ``["web"]`` or ``[0]`` is."""
    if not text:
        return None
    try:
        return _key(json.loads(text[1:-1]))
    except ValueError:
        return None


def _key(value: object) -> _Key:
    return value if isinstance(value, str | int) and not isinstance(value, bool) else None
