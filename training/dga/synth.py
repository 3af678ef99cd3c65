"""Synthetic generated names: algorithms of our own with random parameters.

Families that are known are few; what they have in common is wider than they are. Each pseudo-family
draws its alphabet, lengths, syllables, words and suffixes at random. Names of people enter only as
pairs of letters and as words, both of the names that the model may be trained on.
"""

import random
import string

LETTERS = string.ascii_lowercase
VOWELS = "aeiouy"
CONSONANTS = "".join(sorted(set(LETTERS) - set(VOWELS)))

# Suffixes that registrars sell cheaply or hand out by script, and names under which anybody gets one.
TOPS = """com net org info biz ru cn us eu co in tk ml ga cf gq cc ws me pw top xyz club online site
website space live life shop icu vip fun work win bid loan click link name pro mobi asia tv su kz to
nu cx la ch de pl fr it nl be se jp uk br am im sc mn ms hk tw ki nf st pm re tf wf yt space store
rocks tech host press today rest bar
co.uk org.uk com.br com.cn net.cn com.au co.in co.jp co.za co.kr co.nz com.tw com.tr com.mx com.ar com.ua
com.pl com.vn com.hk com.sg com.my co.id co.il com.co com.ru""".split()
DYNAMIC = """duckdns.org ddns.net dyndns.org no-ip.org no-ip.biz mooo.com hopto.org zapto.org sytes.net
servebeer.com myftp.org myftp.biz redirectme.net dynserv.com yi.org 3utilities.com bounceme.net
gotdns.ch chickenkiller.com strangled.net co.cc dnsalias.com ddnsking.com onthewifi.com""".split()
# Names under which people choose a label for a page or a program of theirs.
HOSTED = """github.io gitlab.io herokuapp.com netlify.app vercel.app web.app firebaseapp.com pages.dev
workers.dev blogspot.com azurewebsites.net appspot.com myshopify.com wixsite.com webflow.io onrender.com
fly.dev ngrok.io readthedocs.io wpengine.com hatenablog.com lhr.life""".split()


class Source:
    """What pseudo-families are made from."""

    def __init__(self, labels, suffixes, words):
        self.suffixes = suffixes
        self.words = [word for word in words if len(word) >= 4]
        self.short = [word for word in words if len(word) <= 4][:800]
        self.pairs = {}
        for label in labels:
            text = "^" + label + "$"
            for first, second in zip(text, text[1:]):
                self.pairs.setdefault(first, []).append(second)


def _suffixes(rng, source):
    if rng.random() < 0.12:
        return rng.sample(DYNAMIC, rng.choice([1, 1, 2, 3]))
    count = rng.choice([1, 1, 1, 2, 3, 4, 5, 6, 8, 12])
    pools = [TOPS[:12], TOPS, source.suffixes]
    pool = rng.choices(pools, [5, 4, 1])[0]
    return [rng.choice(pool) for _ in range(count)]


def _lengths(rng, low, high):
    first = rng.randint(low, high)
    if rng.random() < 0.35:
        return first, first
    return first, min(high + 4, first + rng.randint(1, 12))


def _from_alphabet(rng, alphabet, low, high, weights=None):
    first, last = _lengths(rng, low, high)
    return lambda: "".join(rng.choices(alphabet, weights, k=rng.randint(first, last)))


def _random(rng, _):
    return _from_alphabet(rng, LETTERS, 5, 26)


def _random_short(rng, _):
    return _from_alphabet(rng, LETTERS, 5, 9)


def _truncated(rng, _):
    # Generators that add to a letter and never reach the last ones.
    last = rng.randint(12, 25)
    return _from_alphabet(rng, LETTERS[: last + 1], 5, 22)


def _skewed(rng, _):
    spread = rng.choice([0.5, 1.0, 2.0, 4.0])
    return _from_alphabet(rng, LETTERS, 6, 22, [rng.gammavariate(spread, 1) for _ in LETTERS])


def _few(rng, _):
    return _from_alphabet(rng, rng.sample(LETTERS, rng.randint(5, 14)), 6, 20)


def _alnum(rng, _):
    digits = string.digits * rng.choice([1, 1, 1, 2])
    return _from_alphabet(rng, LETTERS + digits, 7, 32)


def _hex(rng, _):
    return _from_alphabet(rng, "0123456789abcdef", 7, 32)


def _base32(rng, _):
    return _from_alphabet(rng, LETTERS + "234567", 8, 32)


def _letters_digits(rng, _):
    head = _from_alphabet(rng, LETTERS, 3, 12)
    digits = rng.randint(1, 6)
    front = rng.random() < 0.2

    def make():
        number = "".join(rng.choices(string.digits, k=digits))
        return number + head() if front else head() + number

    return make


def _syllables(rng, _):
    vowels = rng.sample(VOWELS, rng.randint(3, 6))
    consonants = rng.sample(CONSONANTS, rng.randint(5, 20))
    patterns = rng.sample(["cv", "cvc", "vc", "cvv", "ccv", "cvcv", "v"], rng.randint(1, 3))
    low = rng.randint(2, 4)
    high = low + rng.randint(0, 2)
    tail = rng.choice(["", "", "", "c", "v"])

    def make():
        shape = "".join(rng.choices(patterns, k=rng.randint(low, high)))[:18] + tail
        return "".join(rng.choice(vowels if kind == "v" else consonants) for kind in shape)

    return make


def _blocks(rng, _):
    sizes = rng.choice([[2], [3], [2, 3], [2, 4]])
    blocks = [
        "".join(rng.choice(VOWELS if (at % 2) else CONSONANTS) for at in range(rng.choice(sizes)))
        for _ in range(rng.randint(8, 60))
    ]
    low = rng.randint(2, 4)
    return lambda: "".join(rng.choices(blocks, k=rng.randint(low, low + 2)))


def _pairs(rng, source):
    low, high = _lengths(rng, 6, 14)

    def make():
        for _ in range(20):
            text = rng.choice(LETTERS)
            while len(text) < high:
                following = rng.choice(source.pairs.get(text[-1], LETTERS))
                if following == "$":
                    break
                text += following
            if len(text) >= low:
                return text.strip("-") or text
        return text

    return make


def _template(rng, _):
    size = rng.randint(7, 20)
    alphabet = LETTERS + (string.digits if rng.random() < 0.3 else "")
    fixed = [rng.choice(alphabet) for _ in range(size)]
    loose = rng.sample(range(size), rng.randint(3, max(3, size // 2)))

    def make():
        text = list(fixed)
        for at in loose:
            text[at] = rng.choice(alphabet)
        return "".join(text)

    return make


def _mutated(rng, source):
    stem = "".join(rng.choices(source.words, k=rng.randint(2, 3)))
    cut = rng.randint(0, 4)
    loose = rng.randint(3, 5)
    front = rng.random() < 0.7

    def make():
        noise = "".join(rng.choices(LETTERS, k=loose))
        return noise + stem[cut:] if front else stem[: len(stem) - cut] + noise

    return make


def _word_lists(rng, source, count):
    same = rng.random() < 0.6
    sizes = [rng.choice([30, 100, 300, 1000]) for _ in range(count)]
    lists = [rng.sample(source.words, min(size, len(source.words))) for size in sizes]
    return [lists[0]] * count if same else lists


def _dictionary(rng, source):
    count = rng.choices([2, 3, 4, 5], [5, 4, 2, 1])[0]
    lists = _word_lists(rng, source, count)
    low = rng.choice([0, 8, 12, 16, 24])
    joint = "-" if count == 2 and rng.random() < 0.25 else ""
    with_short = count > 2 and rng.random() < 0.4

    def make():
        for _ in range(30):
            words = [rng.choice(words) for words in lists]
            if with_short and rng.random() < 0.5:
                words[rng.randrange(count)] = rng.choice(source.short)
            text = joint.join(words)
            if low <= len(text) <= 40:
                return text
        return text[:40]

    return make


def _word_number(rng, source):
    words = _word_lists(rng, source, 2)
    digits = rng.randint(2, 5)
    both = rng.random() < 0.5

    def make():
        text = rng.choice(words[0]) + (rng.choice(words[1]) if both else "")
        return text + "".join(rng.choices(string.digits, k=digits))

    return make


# How often each kind is drawn. Those of the second table are made of names of people.
FREE = {
    _random: 10,
    _random_short: 6,
    _truncated: 3,
    _skewed: 4,
    _few: 5,
    _alnum: 6,
    _hex: 5,
    _base32: 2,
    _letters_digits: 2,
    _syllables: 7,
    _blocks: 3,
    _template: 3,
}
MADE_OF_NAMES = {
    _pairs: 3,
    _mutated: 3,
    _dictionary: 16,
    _word_number: 1,
}


def make(kinds, source, families, names, seed):
    """Names of as many pseudo-families, with the share that each name has of all that is drawn."""
    rng = random.Random(seed)
    drawn = []
    for _ in range(families):
        kind = rng.choices(list(kinds), list(kinds.values()))[0]
        label = kind(rng, source)
        suffixes = _suffixes(rng, source)
        for _ in range(names):
            text = label().strip("-")[:63]
            if text:
                drawn.append(f"{text}.{rng.choice(suffixes)}")
    total = sum(FREE.values()) + sum(MADE_OF_NAMES.values())
    share = sum(kinds.values()) / total / len(drawn)
    return drawn, [share] * len(drawn)


# Suffixes under which a provider's machine picks the label: it looks random, and nobody registers it.
# Public lists of popular names have few of these, real logs many. `#` is a letter or digit, `x` a
# digit of base 16, `0` a digit, `w` a word of people.
_REGIONS = "us-east-1 us-east-2 us-west-1 us-west-2 eu-west-1 eu-central-1 ap-southeast-1".split()
ASSIGNED = {
    "d############.cloudfront.net": 8,
    "d#############.cloudfront.net": 8,
    "w-0000000000.{region}.elb.amazonaws.com": 2,
    "wxxxxxxxxxxxxxxxx.{region}.elb.amazonaws.com": 1,
    "##########.execute-api.{region}.amazonaws.com": 2,
    "################################.lambda-url.{region}.on.aws": 1,
    "axxxxxxxxxxxxxxxx.awsglobalaccelerator.com": 1,
    "##########.{region}.awsapprunner.com": 1,
    "d#############.amplifyapp.com": 1,
    "e-##########.{region}.elasticbeanstalk.com": 1,
    "w-##########-uc.a.run.app": 2,
    "w-w-#####.ondigitalocean.app": 1,
    "w-#########-w.vercel.app": 1,
    "w-w-xxxxxx.netlify.app": 1,
    "w-w-00000.herokuapp.com": 1,
    "w-xxxxxxxxxxxx.herokuapp.com": 1,
    "w-production-xxxx.up.railway.app": 1,
    "0000000000.rsc.cdn77.org": 1,
    "w-##########.z01.azurefd.net": 1,
    "w-xxxxxxxxxxxxxxxx.1.azurestaticapps.net": 1,
    "w#############.blob.core.windows.net": 1,
    "w00000.azureedge.net": 1,
    "w-w-w.trafficmanager.net": 1,
    "w#####.b-cdn.net": 1,
    "w-xxxxxxxx.map.fastly.net": 1,
}


def assigned(words, count, seed):
    """Names that providers hand out by machine: benign."""
    rng = random.Random(seed)
    digits = {"#": LETTERS + string.digits, "x": "0123456789abcdef", "0": string.digits}
    patterns, weights = list(ASSIGNED), list(ASSIGNED.values())
    out = []
    for pattern in rng.choices(patterns, weights, k=count):
        label, suffix = pattern.split(".", 1)
        text = "".join(
            rng.choice(words) if sign == "w" else rng.choice(digits[sign]) if sign in digits else sign
            for sign in label
        )
        out.append(f"{text}.{suffix.format(region=rng.choice(_REGIONS))}")
    return out


def hosted(labels, count, seed):
    """Labels that people chose, under names where anybody may: benign there as elsewhere."""
    rng = random.Random(seed)
    return [f"{rng.choice(labels)}.{rng.choice(rng.choice((HOSTED, DYNAMIC)))}" for _ in range(count)]
