"""ECR's actions, and the words for what several of them come to."""

from __future__ import annotations

#: What a registry policy of either scope is about: the registry, not what a repository holds.
REGISTRY_ACTIONS = {
    "ecr:replicateimage": "replicate",
    "ecr:batchimportupstreamimage": "import",
    "ecr:createrepository": "create",
}
#: Actions that together make up what a word says.
_WHOLE = {
    "pull": {"ecr:batchgetimage", "ecr:getdownloadurlforlayer"},
    "push": {
        "ecr:completelayerupload",
        "ecr:initiatelayerupload",
        "ecr:putimage",
        "ecr:uploadlayerpart",
    },
}
#: Actions each of which is enough for a word.
_ANY = {
    "delete": {"ecr:batchdeleteimage", "ecr:deleterepository"},
    "administer": {
        "ecr:deletelifecyclepolicy",
        "ecr:deleterepositorypolicy",
        "ecr:putimagescanningconfiguration",
        "ecr:putimagetagmutability",
        "ecr:putlifecyclepolicy",
        "ecr:setrepositorypolicy",
        "ecr:tagresource",
        "ecr:untagresource",
        "ecr:updateimagestorageclass",
    },
}
_LOOKING = {
    "ecr:batchchecklayeravailability",
    "ecr:batchgetrepositoryscanningconfiguration",
    "ecr:describeimagereplicationstatus",
    "ecr:describeimages",
    "ecr:describeimagescanfindings",
    "ecr:describerepositories",
    "ecr:getlifecyclepolicy",
    "ecr:getlifecyclepolicypreview",
    "ecr:getrepositorypolicy",
    "ecr:listimagereferrers",
    "ecr:listimages",
    "ecr:listtagsforresource",
    "ecr:startimagescan",
    "ecr:startlifecyclepolicypreview",
}
#: Every action that wildcards and NotAction stand for. IAM takes actions in any case.
ACTIONS = frozenset().union(REGISTRY_ACTIONS, *_WHOLE.values(), *_ANY.values(), _LOOKING)
#: Looked at with a pull or push in any case, and no access of its own beside them.
_BESIDE = {"ecr:batchchecklayeravailability"}


def words_of(actions: set[str]) -> tuple[str, ...]:
    """What may be done with ``actions``: pull, push, delete and the like; "other" for what is left."""
    words = [word for word, needed in _WHOLE.items() if needed <= actions]
    left = actions - set().union(*(_WHOLE[word] | _BESIDE for word in words))
    for word, each in _ANY.items():
        if left & each:
            words.append(word)
        left -= each
    words += [word for action, word in REGISTRY_ACTIONS.items() if action in left]
    left -= REGISTRY_ACTIONS.keys()
    return tuple(words) if not left else (*words, "other")
