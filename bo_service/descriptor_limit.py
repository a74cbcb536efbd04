"""The limit on a process's open files, of which each connection takes one."""

import logging
from contextlib import suppress

logger = logging.getLogger(__name__)

WANTED_DESCRIPTORS = 65_536
FEW_DESCRIPTORS = 8192
"""Fewer are worth a warning."""


def raise_descriptor_limit() -> None:
    """Raise the soft limit on open files to the hard one, to `WANTED_DESCRIPTORS` at most, for children too.

    The usual soft limit of 1,024 lets as many idle connections shut out every further client. A limit that is higher
    already stays. Where the hard limit leaves few descriptors, a warning is logged.
    """
    with suppress(ImportError):  # some systems have no such limits
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = WANTED_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, WANTED_DESCRIPTORS)
        if soft == resource.RLIM_INFINITY or soft >= wanted:
            wanted = soft
        else:
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            except (OSError, ValueError):  # macOS has a further bound
                wanted = soft
        if wanted != resource.RLIM_INFINITY and wanted < FEW_DESCRIPTORS:
            logger.warning(
                "at most %d files and connections can be open at once; raise the hard limit, such as with ulimit -Hn "
                "or LimitNOFILE in systemd, so that idle connections can't shut out others",
                wanted,
            )
