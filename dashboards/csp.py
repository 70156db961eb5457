"""Whether Dashboards lets a browser show pictures of another server: read from its content policy, not its version."""

from __future__ import annotations

from urllib.parse import urlsplit


def img_sources(policy: str | None) -> list[str] | None:
    """The sources of `img-src`, or else of `default-src`, in a `content-security-policy`; None if neither is there."""
    directives: dict[str, list[str]] = {}
    for part in (policy or "").split(";"):
        name, *sources = part.split() or [""]
        # A browser takes the first of two equal names.
        directives.setdefault(name.lower(), sources)
    return directives.get("img-src", directives.get("default-src"))


def allows_pictures(policy: str | None, dashboards: str, page: str) -> bool:
    """Whether pictures of `page` pass the policy of `dashboards`; both are addresses.

    A second policy, such as a proxy's, follows a comma; pictures must pass both.
    """
    policies = [img_sources(each) for each in (policy or "").split(",")]
    return all(sources is None or any(_allows(each, dashboards, page) for each in sources) for sources in policies)


def origin(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}".lower()


def _allows(source: str, dashboards: str, page: str) -> bool:
    there, source = urlsplit(page), source.lower()
    if source == "'self'":
        return origin(page) == origin(dashboards)
    if source == "*":
        return there.scheme in ("http", "https")
    if source.endswith(":"):
        return f"{there.scheme}:" == source
    if source.startswith("'"):
        return False
    scheme, _, rest = source.rpartition("://")
    host, _, path = rest.partition("/")
    name, _, port = host.partition(":")
    return (
        (not scheme or scheme in (there.scheme, "http"))
        and _is_host(name, there.hostname or "")
        and port in ("*", str(there.port or "")) + (("80", "443")[there.scheme == "https"],) * (there.port is None)
        and (not path or f"{there.path}/thumb/".lstrip("/").startswith(path))
    )


def _is_host(pattern: str, host: str) -> bool:
    return host.endswith(pattern[1:]) if pattern.startswith("*.") else pattern == host
