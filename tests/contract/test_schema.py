"""schemathesis reads the engine's OpenAPI document and sends what it allows and what it does not."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from tests.contract.conftest import Server

pytestmark = pytest.mark.torch
POSTS = (("/v1/chat/completions", "POST"), ("/v1/completions", "POST"))
GETS = (("/health", "GET"), ("/v1/models", "GET"), ("/v1/models/{name}", "GET"))
CASES = [(*operation, "positive") for operation in (*GETS, *POSTS)] + [(*operation, "negative") for operation in POSTS]


@pytest.fixture(scope="module")
def document(server: Server) -> Any:
    """What the running engine says of itself."""
    import schemathesis

    # A body that is both wrong and too long is told the latter.
    checks = {"negative_data_rejection": {"expected-statuses": ["400", "404", "413"]}}
    config = schemathesis.Config.from_dict({"checks": checks})
    return schemathesis.openapi.from_url(f"{server.url}/openapi.json", config=config)


@pytest.mark.parametrize(("path", "method", "mode"), CASES)
def test_the_engine_does_what_its_document_says(document: Any, path: str, method: str, mode: str) -> None:
    """No answer without a status and a shape from the document, no 500, and nothing invalid taken for valid."""
    from schemathesis import GenerationMode
    from schemathesis.checks import CHECKS

    operation = document[path][method]
    # That a valid request is refused is no lie: a model that is not there, a prompt that is too long.
    excluded = [CHECKS.get_one("positive_data_acceptance")]

    @settings(max_examples=60, deadline=None, derandomize=True, database=None,
              suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=GenerationMode(mode)))
    def holds(case: Any) -> None:
        case.call_and_validate(excluded_checks=excluded)

    holds()


def test_requests_that_the_fuzzer_makes_valid_are_answered(document: Any, server: Server) -> None:
    """With the model's name and room in the context put right, every other valid field is really taken."""
    from schemathesis import GenerationMode

    statuses: list[int] = []

    @settings(max_examples=40, deadline=None, derandomize=True, database=None,
              suppress_health_check=list(HealthCheck))
    @given(case=document["/v1/completions"]["POST"].as_strategy(generation_mode=GenerationMode.POSITIVE))
    def answered(case: Any) -> None:
        more = {"model": "base", "prompt": "tent", "max_tokens": 4}
        wanted = {key: value for key, value in case.body.items() if key != "stream_options"}
        case.body = {**wanted, **more}
        statuses.append(case.call_and_validate().status_code)

    answered()
    assert set(statuses) == {200}
