"""What to do about pulls that cross regions, and what it saves in a month.

Replication costs the transfer of what is newly pushed and the storage of what the destination then holds;
pulling costs the transfer of every layer that a node lacks. Nothing here is added up twice: what a replica
serves already is advised to be used, and only the rest counts for replicating.
"""

from analyzer.pull_advice.advising import advise
from analyzer.pull_advice.flows import Holdings, Registry

__all__ = ["Holdings", "Registry", "advise"]
