"""What AWS CodeBuild builds in: the image of each project's environment."""

from __future__ import annotations

from analyzer.collect.workloads.reading import Reading, batches, entries, mapping, text
from analyzer.model.records import UseKind

ACTIONS = ("codebuild:BatchGetProjects", "codebuild:ListProjects")

#: Names that BatchGetProjects takes at most.
_PROJECTS = 100


def fetch(reading: Reading) -> None:
    """Read the image of every project; CodeBuild's own images and public ones too."""
    names = reading.pages("codebuild", "ListProjects", "projects")
    for some in batches(names, _PROJECTS):
        answer = reading.call("codebuild", "BatchGetProjects", names=some)
        for project in entries((answer or {}).get("projects")):
            image = mapping(project.get("environment")).get("image")
            reading.use(text(project.get("name")), image, UseKind.CONFIGURED)
