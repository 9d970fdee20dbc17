"""Problem details as responses."""

import math

from starlette.responses import Response

from terzetto_protocol.problems import MEDIA_TYPE, Problem, problem_of


def response_of(problem: Problem) -> Response:
    """A problem as it is sent."""
    headers = {"cache-control": "no-store"}
    if problem.status == 401:
        headers["www-authenticate"] = "Bearer"
    if problem.retry_after is not None:
        headers["retry-after"] = str(max(1, math.ceil(problem.retry_after)))
    return Response(problem.body(), problem.status, headers, MEDIA_TYPE)


def refusal(error: BaseException) -> Response:
    """What a client is told of an error."""
    return response_of(problem_of(error))
