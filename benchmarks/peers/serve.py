"""A peer at the other end of a pipe: `python -m benchmarks.peers.serve MODULE VARIANT`.

It reads JSON lines: first {"space", "seed", "budget"}; then {"do": "ask"}, answered by {"config", "seconds"}, and
{"do": "tell", "config", "value"}, answered by {"seconds"}; {"do": "withdraw", "config"}, answered by {"seconds"},
where another configuration than the one asked for is run and told next; and {"do": "recommend"}, answered by
{"config", "seconds"}, with a config of null from a peer that recommends none. The seconds are the processor's, so that
other work on the machine doesn't count. What libraries print goes to stderr.
"""

import importlib
import json
import os
import sys
import time
import warnings
from collections.abc import Iterable
from typing import Any, TextIO

from benchmarks.peers.protocol import Config, Peer, Recommender, Withdrawing, plain


def answers(peer: Peer, lines: Iterable[str]) -> Iterable[dict[str, Any]]:
    """Yield an answer to each line."""
    for line in lines:
        request = json.loads(line)
        begin = time.process_time()
        answer: dict[str, Any] = {}
        if request["do"] == "ask":
            answer["config"] = plain_config(peer.ask())
        elif request["do"] == "recommend":
            answer["config"] = plain_config(peer.recommend()) if isinstance(peer, Recommender) else None
        elif request["do"] == "withdraw":
            if isinstance(peer, Withdrawing):
                peer.withdraw(request["config"])
        else:
            peer.tell(request["config"], request["value"])
        yield answer | {"seconds": round(time.process_time() - begin, 6)}


def plain_config(config: Config) -> Config:
    """Return the config with Python's own numbers."""
    return {name: plain(value) for name, value in config.items()}


def main(module: str, variant: str, requests: TextIO, replies: TextIO) -> None:
    """Serve until the requests end."""
    given = json.loads(next(requests))
    made = importlib.import_module(f"benchmarks.peers.{module}").make
    peer = made(given["space"], given["seed"], given["budget"], *([variant] if variant else []))
    for answer in answers(peer, requests):
        replies.write(json.dumps(answer) + "\n")
        replies.flush()


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    private = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "", sys.stdin, private)
