"""What one test does to its process must not reach the next one."""

import logging

from tests.conftest import restored_logging


def test_a_command_that_configures_logging_leaves_no_trace() -> None:
    before = logging.root.level, list(logging.root.handlers), logging.getLogger("bo_client").level
    with restored_logging():
        logging.root.addHandler(logging.NullHandler())
        logging.root.setLevel(logging.DEBUG)
        logging.getLogger("bo_client").setLevel(logging.INFO)
        logging.getLogger("bo_client.made_meanwhile").setLevel(logging.INFO)
    assert (logging.root.level, list(logging.root.handlers), logging.getLogger("bo_client").level) == before
    assert logging.getLogger("bo_client.made_meanwhile").level == logging.NOTSET
