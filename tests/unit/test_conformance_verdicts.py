"""What `make conformance` makes of the suite's lines: nothing that tested nothing passes."""

from __future__ import annotations

import pytest

from tests.referees.conformance.plan import OWN, SHIPPED, STREAMING
from tests.referees.conformance.suite import Check, judged

GOOD, BAD = Check("a", "SUCCESS", ""), Check("b", "FAILURE", "broke")
WIRE = Check("wire-schema-valid", "SUCCESS", "")
IMAGE = "tools-call-image"


@pytest.mark.parametrize(
    ("checks", "reached", "word"),
    [
        ([GOOD, WIRE], {"test_image_content"}, "passed"),
        ([GOOD, WIRE], set(), "FAILED"),  # it never came to its tool
        ([WIRE], {"test_image_content"}, "not applicable"),  # valid messages, and nothing tested
        ([], {"test_image_content"}, "not applicable"),
        ([Check("a", "SKIPPED", "x"), Check("b", "INFO", "x")], {"test_image_content"}, "not applicable"),
        ([GOOD, BAD], {"test_image_content"}, "FAILED"),
        ([GOOD, Check("wire-schema-valid", "FAILURE", "x")], {"test_image_content"}, "FAILED"),
        ([GOOD, Check("c", "WARNING", "x")], {"test_image_content"}, "warned"),
    ],
)
def test_a_scenario_is_worth_its_own_successes(checks: list[Check], reached: set[str], word: str) -> None:
    assert judged(STREAMING, IMAGE, checks, reached).word == word


def test_our_own_tools_are_not_judged_by_the_suites_examples() -> None:
    assert judged(OWN, IMAGE, [GOOD], set()).word == "not applicable"
    assert judged(SHIPPED, "tools-call-elicitation", [BAD], set()).word == "not applicable"


def test_a_check_that_passes_without_its_tool_is_not_counted() -> None:
    """server-stateless sends some of its questions to tools that only the examples have."""
    vacuous = [Check(name.split(":")[1], "SUCCESS", "") for name in OWN.elsewhere]
    assert judged(OWN, "server-stateless", vacuous, set()).word == "not applicable"
    assert judged(OWN, "server-stateless", [*vacuous, GOOD], set()).checks == 1
