"""``ray start`` for a further node on the loopback.

Ray takes an address on the loopback for a short way of saying the machine's outer one, and turns
it into that before it looks for the head. A head that has bound the loopback alone, as ours does
on one machine, is not found then; no setting keeps Ray from it. What translates is therefore put
out of force, in this process alone. A node whose address is the loopback binds nothing else.
"""

from __future__ import annotations

import sys

from ray._private import services
from ray.scripts import scripts


def main() -> None:
    """Does what the command ``ray`` would with the same arguments."""
    services.resolve_ip_for_localhost = lambda host: host
    sys.argv[0] = "ray"
    scripts.main()


if __name__ == "__main__":
    main()
