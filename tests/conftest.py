"""Settings of all tests: hypothesis without a stop-watch, and no one's own AWS settings."""

from __future__ import annotations

import os
from typing import Any, Final

import pandas as pd
from hypothesis import HealthCheck, settings

from tests.support.quick_starts import start_quickly

# Some hostile names are half of a surrogate pair, which reports have to survive and Arrow's strings,
# pandas' choice where pyarrow is installed, cannot hold. What the program stores never has one.
pd.options.mode.string_storage = "python"

# Two shared cores make any one example slow now and then; pytest-timeout catches what hangs. Whoever
# has an hour asks for the thorough ones (`make properties`): the odd case is one in thousands.
_PATIENT: Final[dict[str, Any]] = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large],
}
settings.register_profile("tests", max_examples=50, **_PATIENT)
settings.register_profile("thorough", max_examples=1_000, **_PATIENT)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "tests"))

# Before any boto3 session: neither profiles nor endpoints nor credentials of whoever runs the tests.
# DEMURRAGE_SHARED says where the real corpus lies; it is no setting of the program.
for name in [name for name in os.environ if name.startswith(("AWS_", "DEMURRAGE_"))]:
    if name != "DEMURRAGE_SHARED":
        del os.environ[name]
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull

start_quickly()
