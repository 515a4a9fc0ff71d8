"""How hard the property tests of the domain try: HYPOTHESIS_PROFILE=long tries far more sequences."""

import os

import pytest
from hypothesis import Phase, settings

pytest.register_assert_rewrite(
    "tests.domain.given_when_then",
    "tests.domain.any_commands.bookkeeping",
    "tests.domain.any_commands.oracle",
    "tests.domain.any_commands.box_office",
)

WITHOUT_EXPLANATIONS = [phase for phase in Phase if phase is not Phase.explain]
settings.register_profile(
    "quick", max_examples=100, stateful_step_count=40, deadline=None, database=None, phases=WITHOUT_EXPLANATIONS
)
settings.register_profile("long", settings.get_profile("quick"), max_examples=1_500, stateful_step_count=60)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
