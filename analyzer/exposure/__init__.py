"""Whom repository and registry policies let in beside the account itself.

Policies are read as the IAM user guide has them ("IAM JSON policy element reference" and "Policy
evaluation logic"): what one statement allows is allowed unless another denies it. Only what is certain
is called so. A condition, a denial or a principal that narrows a grant to a part of it, in a way that is
not judged here, marks it as narrowed, and anyone under such conditions is not called public.

A registry policy of scope V2 counts for all actions on all repositories of the registry, one of scope V1
only for replication, imports of pull through caches and the creation of repositories (ECR user guide,
"Private registry permissions in Amazon ECR").

Anyone may pull from a public repository, whose policy lets others push to it (ECR Public user guide,
"Public repository policies").
"""

from analyzer.exposure.policies import (
    exposure_of_policy,
    exposure_of_registries,
    exposure_of_repositories,
)

__all__ = ["exposure_of_policy", "exposure_of_registries", "exposure_of_repositories"]
