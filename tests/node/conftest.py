"""What tests of the node share."""

import pytest

from tests.conftest import serving
from tests.node.engines import StandingEngine


@pytest.fixture(scope="module")
def standing():
    """A server that fills holes from where the camera's standing picture shows them."""
    with serving(StandingEngine()) as where:
        yield where
