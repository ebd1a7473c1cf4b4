"""The words behind the figures: how each kind was counted, and what the terms mean.

A table, a card or a chart names an entry of ``METHODS``, and the page links it there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """How one kind of figure comes about."""

    #: What tables name it by; its id on the page is ``method-`` and this.
    name: str
    title: str
    #: Plain sentences; ``{stale_days}``, ``{at}``, ``{in_use}`` and ``{advised}`` stand for the report's own.
    text: str
    #: Where it can be read up; "" where it is our own.
    source: str = ""
    #: The section of the page that it is about; "" for all pages.
    section: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """A word of the page, and what it means here."""

    name: str
    meaning: str


METHODS: Final = (
    Method(
        name="scopes",
        title="Repository scope, registry scope",
        text="A layer is stored once per repository at least. Repositories of one registry also share"
        " layers where blob mounting is on, within one encryption key, for images pushed that way; never"
        " in a pull-through cache. Repository scope counts each layer once per repository and is the upper"
        " bound; registry scope counts it once per group of repositories that could share it and is the"
        " lower bound. Blob mounting is off by default and acts only on later pushes; what was once shared"
        " stays shared. So there is a range where it is or ever was on, and one figure elsewhere.",
        source="ECR user guide, Blob mounting in Amazon ECR",
    ),
    Method(
        name="sizes",
        title="Bytes and GB",
        text="Sizes are those of config and layers as the manifests name them, compressed as they are"
        " stored; a layer listed twice counts once, and an index is never added to its platforms. 1 GB is"
        " 2^30 = 1,073,741,824 bytes, as AWS bills storage; 1 TB is 1,024 GB. Logical bytes count every"
        " image whole, stored bytes each layer once within its scope. The sizes that ECR lists per image"
        " are kept as a cross-check only. Exact numbers of bytes are in the CSV files.",
        source="OCI image specification, Image manifest",
    ),
    Method(
        name="cost",
        title="Cost",
        text="Stored bytes times the price of a GB-month in their region and storage class, tier by tier"
        " where there are tiers: what a whole month costs if nothing changes. The prices, their date and"
        " how sure they are stand in the table of prices below. A bill differs by discounts, credits, the"
        " free tier and whatever was pushed or deleted during the month.",
        source="AWS Price List; Amazon ECR pricing",
    ),
    Method(
        name="waste",
        title="Orphaned, stale, freed",
        text="Orphaned: reached from no tag, neither through an index nor as what refers to an image."
        " Stale: neither pushed nor pulled, by itself or through its index, for {stale_days} days before"
        " {at}. Freed is what is stored now less what would be stored without these images, all of them"
        " gone at once: the layers that no remaining image holds. Kinds of waste overlap, so that their"
        " rows do not add up. A saving is promised at the scope where it cannot be overstated.",
    ),
    Method(
        name="recommended",
        title="Recommended policies",
        text="Of all orders of rules for the tag families of a repository the one is taken that frees most"
        " and keeps every needed image; a rule's number covers the oldest needed image that it decides on,"
        " and as many pushes as are to come within the margin. The evaluator of what-if judges each policy"
        " on the images of the snapshot, and once more at the end of the margin, before it is shown. A"
        " saving is what leaves the bill beyond what the policy in force would take, at the end that cannot"
        " overstate it. {advised}",
        source="ECR user guide, Lifecycle policy properties",
        section="recommended",
    ),
    Method(
        name="ages",
        title="Age of stored bytes",
        text="A layer is as old as the newest image that holds it, counted from its push to {at}. Every"
        " byte is in one row, at repository scope.",
    ),
    Method(
        name="trend",
        title="Growth and forecast",
        text="A day shows its last snapshot; days without one, or on which a registry could not be read"
        " whole, are gaps. New are the bytes of layers that nothing in the repository held on the known day"
        " before, freed those that nothing holds any more. The reconstruction counts each layer from the"
        " first push among the images still there. The forecast replays the pushes of past weeks, drawn in"
        " runs by a stationary bootstrap, and lets the policies judge them month by month; its interval"
        " says how uneven the past was, not what has never happened yet.",
        source="Politis and Romano 1994, The Stationary Bootstrap",
        section="trend",
    ),
    Method(
        name="outcomes",
        title="Changes of policies",
        text="A policy was changed somewhere between the two nights that saw it differ. What either saw, and"
        " every night until the next change, is judged by the new policy at the time of the next night, by"
        " which ECR may have acted; it has 24 hours more. What left by then, left in time; what left though"
        " no rule takes it, somebody deleted. Bytes are those of layers that nothing else in the repository"
        " held.",
        source="ECR user guide, Automate the cleanup of images by using lifecycle policies",
        section="outcomes",
    ),
    Method(
        name="fewer",
        title="Keeping fewer",
        text="One rule for every repository is simulated for every N at once. An image's rank is its place"
        " by time of push in its repository; the platforms of an index count with it, what refers to an"
        " image goes with it, archived images stay. A layer stays as long as one kept image of its scope"
        " holds it.",
        section="fewer",
    ),
    Method(
        name="what-if",
        title="What a policy would do",
        text="Each image gets the verdict that ECR's rules give it at the moment named: rules by priority,"
        " the first that claims an image decides, and what an index or a referrer needs is kept. Bytes"
        " saved are stored bytes before less stored bytes after. The naive figure adds up sizes of images"
        " and overstates, because a layer stays until the last image that holds it has gone. What AWS"
        " leaves open is decided one way every time and named.",
        source="ECR user guide, Automate the cleanup of images by using lifecycle policies in Amazon ECR",
        section="what-if",
    ),
    Method(
        name="pulls",
        title="Pulls across regions",
        text="A cold pull is one that fetches every layer because nothing of the image is there yet. It"
        " costs its compressed bytes times the price of transfer between the two regions, and the account"
        " that owns the registry pays. References come from the workloads that were read; how often each"
        " is pulled is known only where CloudTrail was read.",
        source="Amazon ECR pricing; EC2 on-demand pricing, Data transfer",
        section="pulls",
    ),
    Method(
        name="recorded",
        title="Recorded pulls",
        text="CloudTrail's events, each counted once: a layer asked for moves its bytes, a manifest asked"
        " for is a look that moves none. Failed calls, those of scanners and demurrage's own are counted"
        " apart. Nothing is said of days that no file covers.",
        source="CloudTrail user guide; Logging Amazon ECR actions with AWS CloudTrail",
        section="pulls",
    ),
    Method(
        name="findings",
        title="Findings",
        text="Each check looks at what was read and says nothing of what was not. What a finding saves is"
        " the cost of the layers that would leave if it alone were mended; where images pile up, only those"
        " count that are stale, or that no tag has reached for two weeks, and that are not in use; in use is"
        " {in_use}. Findings overlap, so that their rows do not add up; totals and the list of what to do"
        " first count each layer once. Waived findings are in no total.",
        section="findings",
    ),
    Method(
        name="settings",
        title="Settings",
        text="What ECR answered of each registry and repository. A repository is open as widely as the"
        " widest grant that its policies give; a grant under conditions is shown as such, because whom it"
        " lets in depends on the caller. What could not be read is unknown, never no.",
        source="ECR user guide, Private registry settings; Private repository policies",
    ),
    Method(
        name="gaps",
        title="Gaps",
        text="Every question to AWS that was refused or could not be answered, with its reason. A figure"
        " that could hold more because of one carries a dagger or says unknown; nothing unknown is counted"
        " as zero.",
    ),
    Method(
        name="rounding",
        title="Rounding",
        text="Each column is rounded as a whole, so that what is shown adds up; a row may differ from its"
        " own rounding by one unit in the last digit.",
    ),
)

TERMS: Final = (
    Term(
        name="Registry",
        meaning="All repositories of one account in one region (private), or of one account (public).",
    ),
    Term(
        name="Repository",
        meaning="A name in a registry that images are pushed to. Deleted and created again it is a new one.",
    ),
    Term(
        name="Manifest",
        meaning="The document that lists the config and the layers of an image, each with its digest and"
        " size.",
    ),
    Term(name="Digest", meaning="The hash of some content, which names it: equal digests are equal content."),
    Term(name="Image", meaning="A manifest with a config and layers, in a repository."),
    Term(
        name="Index",
        meaning="A manifest that lists other manifests, such as one image for each platform; also called a"
        " manifest list or a multi-platform image.",
    ),
    Term(
        name="Referrer",
        meaning="A manifest about another one, its subject, such as a signature, an SBOM or an attestation.",
    ),
    Term(name="Artifact", meaning="An image, an index or a referrer, where all of them are meant."),
    Term(
        name="Blob, layer, config",
        meaning="A blob is content that manifests list: a layer (files of an image) or a config (how to"
        " run it).",
    ),
    Term(
        name="Tag",
        meaning="A name for one manifest of a repository, which can be moved unless tags are immutable."
        " Not to be mixed up with the AWS tags of a repository.",
    ),
    Term(name="Untagged", meaning="Carries no tag itself. The platforms of a tagged index usually do not."),
    Term(name="Orphaned", meaning="Reached from no tag at all, through an index or as a referrer either."),
    Term(name="Logical bytes", meaning="What the images add up to with every one counted whole."),
    Term(
        name="Stored bytes",
        meaning="Each blob counted once within its scope, as it is stored and paid for; also called"
        " physical.",
    ),
    Term(
        name="Unique, shared",
        meaning="Unique is what would leave if this repository alone left; shared is what several hold.",
    ),
    Term(name="Freed", meaning="Stored bytes before less stored bytes after."),
    Term(
        name="Blob mounting",
        meaning="A setting of the registry by which repositories can use one stored copy of a layer.",
    ),
    Term(
        name="Pull-through cache",
        meaning="Repositories that ECR fills by itself with copies of another registry's images as they"
        " are pulled.",
    ),
    Term(
        name="Lifecycle policy",
        meaning="Rules of a repository by which ECR deletes images, or moves them to the archive.",
    ),
    Term(
        name="Archive",
        meaning="A storage class of lower price whose images must be restored before they can be pulled.",
    ),
    Term(
        name="Run, snapshot",
        meaning="A run reads the registries once; each gives one snapshot, with a number.",
    ),
    Term(
        name="FOCUS",
        meaning="An open specification of billing data. Where the files here have a column of the same"
        " meaning: account is SubAccountId, region is RegionId, a repository's ARN is ResourceId.",
    ),
)


def methods_for(sections: frozenset[str], **own: object) -> tuple[Method, ...]:
    """The entries that a page with these sections needs, in order, with the report's ``own`` words."""
    return tuple(
        Method(
            name=method.name,
            title=method.title,
            text=method.text.format(**own),
            source=method.source,
            section=method.section,
        )
        for method in METHODS
        if not method.section or method.section in sections
    )
