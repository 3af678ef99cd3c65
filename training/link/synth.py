"""Benign URLs that public lists lack and every network has: names below hosting suffixes, of CDNs with
what they serve, of firms that offer their programs. They are made of benign names of the training
rows, so a name that is held out is in none of them."""

import numpy as np

ROWS = 3_000

# Where anybody gets a name: sites, shops, documentation, applications.
HOSTING = (
    "github.io", "gitlab.io", "readthedocs.io", "netlify.app", "vercel.app", "pages.dev",
    "workers.dev", "web.app", "firebaseapp.com", "herokuapp.com", "azurewebsites.net",
    "onrender.com", "fly.dev", "blogspot.com", "wordpress.com", "weebly.com", "wixsite.com",
    "webflow.io", "myshopify.com", "squarespace.com", "notion.site", "atlassian.net",
    "zendesk.com", "sharepoint.com", "slack.com", "my.salesforce.com", "surge.sh", "glitch.me",
)
# Networks that deliver what others own, by how their names are made: h is hexadecimal, a a letter or
# digit, n a digit, * the name of who owns it.
DELIVERY = (
    "daaaaaaaaaaaaa.cloudfront.net", "*.azureedge.net", "*.blob.core.windows.net",
    "*.s3.amazonaws.com", "*.b-cdn.net", "*.fastly.net", "ennnn.a.akamaiedge.net",
    "*.akamaized.net", "*-aaaaaaaa.netdna-ssl.com", "*.global.ssl.fastly.net", "*.gcdn.co",
    "*.cdn77.org", "rn---aa-aaaaaaaa.googlevideo.com", "*.edgekey.net", "cdn.*", "static.*",
    "img.*", "assets.*", "media.*", "api.*", "cdnn.*",
)
FILES = (
    "jquery.min.js", "app.js", "main.css", "bundle.{h}.js", "style.css", "logo.png", "index.js",
    "{h}.jpg", "{n}.png", "vendor.{h}.css", "font.woff2", "pixel.gif", "config.json", "{h}",
)
FOLDERS = ["js", "css", "img", "assets", "v2", "static", "media", "dist"]
PROGRAMS = ("exe", "msi", "zip", "dmg", "tar.gz", "deb", "rpm", "pkg", "apk", "jar", "7z", "iso")
PLATFORMS = ("", "-win64", "-x64", "-windows-amd64", "-setup", "-linux-x86_64", "-macos", "-arm64")
PLACES = ("", "/download", "/downloads", "/releases", "/pub", "/files", "/dist", "/software")


def _filled(rng, pattern, owner):
    hexadecimal, digits = "0123456789abcdef", "0123456789"
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    out, fixed = [], pattern.replace("*", "\0")
    head, dot, tail = fixed.partition(".")
    for c in head:
        if c == "\0" or not any(run in head for run in ("aaa", "nn", "hh", "aa-")):
            out.append(c)
        else:
            kinds = {"a": letters, "n": digits, "h": hexadecimal}
            out.append(kinds[c][rng.integers(len(kinds[c]))] if c in kinds else c)
    return ("".join(out) + dot + tail).replace("\0", owner)


def _file(rng):
    name = FILES[rng.integers(len(FILES))]
    h = f"{rng.integers(1 << 62):016x}"[: rng.choice([8, 12, 16])]
    path = "".join(f"/{part}" for part in rng.choice(FOLDERS, rng.integers(0, 3)))
    query = f"?v={rng.integers(1, 99999)}" if rng.random() < 0.2 else ""
    return f"{path}/{name.format(h=h, n=rng.integers(1, 9999))}{query}"


def _program(rng, owner):
    version = ".".join(str(rng.integers(0, 20)) for _ in range(rng.integers(1, 4)))
    place, end = PLACES[rng.integers(len(PLACES))], PROGRAMS[rng.integers(len(PROGRAMS))]
    name = owner.title() if rng.random() < 0.4 else owner
    between = rng.choice(["-", "_", ""])
    folder = f"/v{version}" if rng.random() < 0.3 else ""
    return f"{place}{folder}/{name}{between}{version}{PLATFORMS[rng.integers(len(PLATFORMS))]}.{end}"


# Names of machines that providers make up, asked for as they stand.
MACHINES = (
    "{w}-{w}-{n}.{r}.elb.amazonaws.com", "{w}-prod-{n}.{r}.elb.amazonaws.com",
    "{w}-alb-{n}.{r}.elb.amazonaws.com", "{w}.{a}.{r}.rds.amazonaws.com", "{a}-{w}.{r}.token.awswaf.com",
    "{h}.{h}.{r}.token.awswaf.com", "ec2-{d}-{d}-{d}-{d}.{r}.compute.amazonaws.com",
    "{a}{a}-{a}-{h}-clientnsv4-s.akamaihd.net", "{a}{a}{a}-{w}-{h}-clienttons-s.akamaihd.net",
    "e{d}.dscb.akamaiedge.net", "a{d}.g.akamai.net", "{h}.safeframe.googlesyndication.com",
    "{d}.fls.doubleclick.net", "r{d}---sn-{a}.googlevideo.com", "{w}-{h}.trafficmanager.net",
    "{w}-{h}.azurefd.net", "{w}-{d}.{r}.cloudapp.azure.com", "{h}.{w}.datadoghq.com", "d{a}.cloudfront.net",
)
REGIONS = (
    "us-east-1", "us-west-2", "eu-west-1", "eu-central-1", "ap-northeast-1", "ca-central-1", "sa-east-1",
)
PAGES = (
    "/about", "/blog/", "/docs/index.html", "/index.html", "/img/logo.png", "/en/contact", "/tags/news",
)


def make(domains, seed, programs=0.0, rows=ROWS):
    """URLs made of registered domains, `programs` of them of programs. All have a path: a bare host
    below a hosting suffix may be anybody's, and only those who ask for it could tell."""
    rng, out = np.random.default_rng(seed), []
    for domain in rng.choice(np.unique(domains.astype(str)), rows):
        owner = domain.split(".")[0]
        chance = rng.random()
        if chance < programs:
            host = rng.choice(["", "download.", "dl.", "files.", "cdn.", "downloads."]) + domain
            out.append(host + _program(rng, owner))
        elif chance < programs + (1 - programs) * 0.6:
            host = f"{owner}.{HOSTING[rng.integers(len(HOSTING))]}"
            out.append(host + rng.choice([*PAGES, f"/posts/{rng.integers(1, 400)}/"]))
        else:
            pattern = DELIVERY[rng.integers(len(DELIVERY))]
            host = _filled(rng, pattern, domain if pattern.endswith("*") else owner)
            out.append(host + _file(rng))
    return out


def machines(domains, seed, rows):
    """Names of machines, with words of the labels of registered domains in them."""
    rng, out = np.random.default_rng(seed + 1000), []
    hexadecimal, letters = "0123456789abcdef", "abcdefghijklmnopqrstuvwxyz234567"

    def drawn(alphabet, least, most):
        return "".join(rng.choice(list(alphabet), rng.integers(least, most + 1)))

    owners = np.unique(domains.astype(str))
    for at in range(rows):
        text = MACHINES[at % len(MACHINES)].replace("{r}", rng.choice(REGIONS))
        while "{" in text:
            kind = text[text.index("{") : text.index("{") + 3]
            value = {
                "{w}": lambda: rng.choice(owners).split(".")[0][:14],
                "{n}": lambda: str(rng.integers(10**8, 3 * 10**9)),
                "{d}": lambda: str(rng.integers(1, 9999)),
                "{h}": lambda: drawn(hexadecimal, 8, 12),
                "{a}": lambda: drawn(letters, 6, 14),
            }[kind]()
            text = text.replace(kind, value, 1)
        out.append(text)
    return out
