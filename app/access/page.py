"""The pages that are there before anybody has signed in: HTML of our own, without a script."""

from __future__ import annotations

import base64
import hashlib
from html import escape
from importlib.resources import files

from starlette.responses import HTMLResponse

_STYLE = """
:root { color-scheme: light dark; --page: #F1F5F7; --card: #FFFFFF; --text: #16242B;
  --quiet: #51626B; --line: #D5DEE3; --edge: #7A8C95; --accent: #0B6B74; --on-accent: #FFFFFF;
  --wrong: #A3271C; --wrong-page: #FBECEA; }
@media (prefers-color-scheme: dark) {
  :root { --page: #0F171C; --card: #18242B; --text: #E4ECEF; --quiet: #A9B7C0;
    --line: #2C3C45; --edge: #7D929D; --accent: #35B6C0; --on-accent: #0F171C;
    --wrong: #FFB4A8; --wrong-page: #3A201C; } }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1.25rem;
  background: var(--page); color: var(--text);
  font: 1rem/1.5 "Source Sans 3", "Source Sans Pro", system-ui, "Helvetica Neue", Arial,
    sans-serif; }
main { width: 100%; max-width: 25rem; background: var(--card); padding: 2.25rem 2rem;
  border: 1px solid var(--line); border-radius: .75rem; overflow-wrap: anywhere; }
.brand { display: flex; align-items: center; gap: .7rem; margin-bottom: 1.5rem;
  font-size: 1.35rem; font-weight: 700; color: var(--accent); }
.brand svg { width: 2.25rem; height: 2.25rem; flex: none; stroke: currentColor; }
.brand svg circle:last-child { fill: currentColor; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 .4rem; }
p { margin: 0 0 1.25rem; color: var(--quiet); }
label { display: block; font-weight: 600; margin-bottom: .35rem; }
input, button { width: 100%; font: inherit; border-radius: .5rem; padding: .65rem .8rem; }
input { border: 1px solid var(--edge); background: var(--page); color: var(--text); }
button { margin-top: 1rem; border: 0; background: var(--accent); color: var(--on-accent);
  font-weight: 600; cursor: pointer; }
button:hover { filter: brightness(1.08); }
input:focus-visible, button:focus-visible, a:focus-visible {
  outline: 3px solid var(--accent); outline-offset: 2px; }
.wrong { background: var(--wrong-page); color: var(--wrong); border-radius: .5rem;
  padding: .65rem .8rem; }
.hint { font-size: .9rem; margin: 1.5rem 0 0; }
code { font-size: .95em; }
a { color: var(--accent); }
"""
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode("utf-8")).digest()).decode("ascii")
_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_HASH}'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
_MARK = files("app").joinpath("mark.svg").read_text(encoding="utf-8")


def sign_in_page(*, wanted: str, wrong: str = "", status: int = 200) -> HTMLResponse:
    """The form that asks for a token.

    Args:
        wanted: where to go afterwards.
        wrong: why the attempt before was refused.
        status: the status of the answer.
    """
    said = f'<p class="wrong" role="alert" id="wrong">{escape(wrong)}</p>' if wrong else ""
    described = ' aria-describedby="wrong" aria-invalid="true"' if wrong else ""
    return _page(
        "Sign in",
        f"""<h1>Sign in</h1>
<p>Paste the token of your account.</p>
{said}
<form method="post" action="/sign-in">
<label for="token">Token</label>
<input id="token" name="token" type="password" required autofocus autocomplete="current-password"
 spellcheck="false" autocapitalize="off" maxlength="200"{described}>
<input type="hidden" name="next" value="{escape(wanted)}">
<button>Sign in</button>
</form>
<p class="hint">No token, or it is lost? An admin makes one with
<code>pilothouse users token</code> and your name.</p>""",
        status=status,
    )


def notice_page(title: str, text: str, *, status: int) -> HTMLResponse:
    """One sentence and the way back to the panel."""
    return _page(
        title,
        f'<h1>{escape(title)}</h1><p>{escape(text)}</p><a href="/">To the panel</a>',
        status=status,
    )


def once_more_page(path: str) -> HTMLResponse:
    """Asks for the same address again, from the panel itself.

    A browser keeps a cookie that is ``SameSite=Strict`` to itself where somebody follows a link
    from another site, such as one in an alert; the second request brings it.
    """
    return _page(
        "Pilothouse",
        f'<p>One moment, or <a href="{escape(path)}">go on</a>.</p>',
        head=f'<meta http-equiv="refresh" content="0;url={escape(path)}">',
        status=200,
    )


def _page(title: str, body: str, *, status: int, head: str = "") -> HTMLResponse:
    return HTMLResponse(
        f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
{head}
<title>{escape(title)} · Pilothouse</title>
<link rel="icon" href="/favicon.png">
<style>{_STYLE}</style>
</head>
<body>
<main>
<div class="brand" aria-hidden="true">{_MARK}<span>Pilothouse</span></div>
{body}
</main>
</body>
</html>
""",
        status_code=status,
        headers={"Content-Security-Policy": _POLICY, "Cache-Control": "no-store"},
    )
