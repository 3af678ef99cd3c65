"""What was really asked for: URLs of every http.log below `zeek/`, names of ssl and dns logs, and by
whom on which day. Logs that are known to hold attacks are told apart."""

from common import logs

# Recordings whose http holds attacks (MANIFEST.csv), and Zeek's own tests, which are made up.
ATTACKS = ("zat", "slips_", "rita_missing_host", "zeek_btest")


def _day(ts):
    """The day of a time stamp, in seconds or as a text."""
    try:
        return int(float(ts) // 86400)
    except (TypeError, ValueError):
        return str(ts)[:10]


def _url(host, uri, address):
    """The URL that a request asks for, as the stage makes it."""
    uri = uri or ""
    if uri.startswith(("http://", "https://")):
        return uri
    host = host or address or ""
    if ":" in host and host.count(":") > 1 and not host.startswith("["):
        host = f"[{host}]"
    return host + uri if uri.startswith("/") else host


def requests(root):
    """`(url, client, day, is_attack)` of each request, each once."""
    wanted = ["ts", "id.orig_h", "id.resp_h", "host", "uri", "method"]
    found = set()
    for name, (ts, client, server, host, uri, method) in logs.rows(root, "http", wanted):
        url = uri if method == "CONNECT" else _url(host, uri, server)
        if url:
            found.add((url, client, _day(ts), name.startswith(ATTACKS)))
    return sorted(found, key=str)


def names(root):
    """The same of names alone: TLS and DNS."""
    found = set()
    for log, field in (("ssl", "server_name"), ("dns", "query")):
        for name, (ts, client, host) in logs.rows(root, log, ["ts", "id.orig_h", field]):
            if host:
                found.add((host, client, _day(ts), name.startswith(ATTACKS)))
    return sorted(found, key=str)
