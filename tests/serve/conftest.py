"""A server of a tiny run, on a port of its own, as long as the tests of a module need it."""

import pytest
from serving import serving

from nescio.models.tiny import make_tiny_model
from nescio.pipeline import run_line
from nescio.serve.decider import EmbeddedDecider
from nescio.serve.served_run import read_run
from small_run import make_data, small_config


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory):
    """A finished run of structured decisions."""
    root = tmp_path_factory.mktemp("served")
    model, data = make_tiny_model(root / "model"), make_data(root / "data")
    return run_line(small_config(model, data, root / "run", predict={"systems": ["tuned"]}, calibrate={"max_risk": 0.9}))


@pytest.fixture(scope="session")
def decider(run_folder):
    """The run's model, ready to be asked."""
    made = EmbeddedDecider(read_run(run_folder), max_rows=8)
    yield made
    made.close(seconds=30)


@pytest.fixture(scope="session")
def url(decider):
    """A server without a policy of its own."""
    with serving(decider) as base:
        yield base
