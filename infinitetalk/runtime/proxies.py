"""Proxy settings of the environment that httpx, which gradio and the hub's client use, would not survive.

httpx ends with a traceback on import for SOCKS proxies without its extra, for schemes that it does not know, and for
IPv6 ranges in NO_PROXY.
"""

from __future__ import annotations

import importlib.util
import os
from urllib.parse import urlsplit

_PROXIES = ("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY")


def drop_unusable_proxies() -> list[str]:
    """Take out of this process's environment what would stop it; returns a sentence for each."""
    notes = []
    for name in (spelling for each in _PROXIES for spelling in (each, each.lower())):
        address = os.environ.get(name)
        if address and not _is_usable(address):
            del os.environ[name]
            notes.append(
                f"The proxy of {name} is not used: {_scheme(address)} proxies are not supported here, http is."
            )
    for name in ("NO_PROXY", "no_proxy"):
        entries = [entry.strip() for entry in os.environ.get(name, "").split(",")]
        kept = [entry for entry in entries if not (":" in entry and "/" in entry and "://" not in entry)]
        if kept != entries:
            os.environ[name] = ",".join(kept)
            notes.append(f"Ranges of IPv6 addresses in {name} are left out; give single addresses.")
    return notes


def _is_usable(address: str) -> bool:
    scheme = _scheme(address)
    if scheme in ("socks5", "socks5h"):
        return importlib.util.find_spec("socksio") is not None
    return scheme in ("http", "https")


def _scheme(address: str) -> str:
    """httpx takes an address without one for http."""
    try:
        return urlsplit(address if "://" in address else f"http://{address}").scheme.lower()
    except ValueError:
        return "such"
