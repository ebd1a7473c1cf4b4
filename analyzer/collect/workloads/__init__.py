"""What runs which image in the account and region of a registry, one module for each source."""

from analyzer.collect.workloads.options import NO_WORKLOADS, WorkloadOptions
from analyzer.collect.workloads.reading import SourceOutcome
from analyzer.collect.workloads.sources import ACTIONS, RATES, check_sources, readers

__all__ = ["ACTIONS", "NO_WORKLOADS", "RATES", "SourceOutcome", "WorkloadOptions", "check_sources", "readers"]
