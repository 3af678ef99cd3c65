"""What each detector is trained on and judged by: its data, its classes, its pairings.

A pairing holds sources of both classes out; neither they nor any registered domain of their rows is
trained on. Sources that may not be used commercially are tested on, never trained on.
"""

from dataclasses import dataclass

NOT_COMMERCIAL = ("openphish", "openphish2020", "cps_openphish", "citizenlab", "citizenlab_filelike")

@dataclass(frozen=True)
class Task:
    """A detector's task."""

    detector: str
    file: str
    positive: tuple
    negative: tuple
    pairings: dict
    # The rows that are reported apart, beside all of them.
    apart: str
    # Whether a test row whose path stands in training leaves the test.
    unseen_path: bool = False
    # The pairings that are reported together as the hardest.
    hardest: tuple = ()
    # Of benign and bad rows, the shares of addresses, hosts alone and the rest; as they come where
    # there are none. Half of all bad URLs are on addresses, which would hide what the others say.
    shares: tuple = ((None, None, None), (None, None, None))
    # Of the rows in training, how many are learned without their path as well: a page that imitates
    # somebody is mostly known by its host; a host that serves malware is often somebody's whose it is not.
    cut: float = 0.0
    # What a source weighs, as its size to this power, for trees and for the network; what a row of it
    # weighs, as the number of its domain's rows to this power.
    powers: tuple = (0.4, 0.8, -0.3)
    # What trees, network and linear model weigh in the sum of their logits; what the linear model can
    # say in favour of a URL at most; what is added for an address, of which lists have next to no
    # benign ones, so that no member can learn what it is worth.
    sum: tuple = (1.0, 0.7, 0.7)
    floor: float = -4.0
    address: float = 0.0
    # Of real requests only those whose path ends so, as the rows of the list do; all where it is empty.
    ends: tuple = ()
    # Of the synthetic rows, those that are of programs.
    programs: float = 0.05
    # Measures that its model does not see, since with them it is no better.
    left_out: tuple = ()
    # Names of machines among them, bare hosts: who reads names has to know that providers make them up.
    machines: int = 0

    def recipe(self):
        """What the members that are trained depend on."""
        return (
            self.file, self.positive, self.negative, self.pairings, self.unseen_path, self.shares,
            self.cut, self.powers, self.programs, self.machines, self.left_out,
        )


# Their characters are counted by other measures too; a phishing page's name gains by them, what
# serves malware does not.
_ENTROPY = tuple(f"{part}_entropy" for part in ("front", "path", "file", "directory", "query"))
_OPEN = ("citizenlab", "debian_homepage", "scoop_main")

TASKS = {
    task.detector: task
    for task in (
        Task(
            "phishing",
            "url.csv.gz",
            ("phishing",),
            ("benign",),
            {
                "phishcrawl": (("phishcrawl",), ("phishcrawl",)),
                "phiusiil": (("phiusiil",), ("phiusiil",)),
                "pdd2017": (("pdd_phish2017",), ("pdd_legit2017",)),
                "openphish": (("openphish", "openphish2020", "cps_openphish"), _OPEN),
                "jpcert, phishtank": (
                    ("jpcert", "phishtank2020"),
                    ("iscx_benign", "brave_sitelist2015"),
                ),
            },
            "host only",
            cut=0.3,
            machines=150,
        ),
        Task(
            "malicious-url",
            "url.csv.gz",
            ("malware", "c2", "apt"),
            ("benign",),
            {
                "urlhaus_filter": (("urlhaus_filter",), ("iscx_benign",)),
                "urlhaus2025": (("urlhaus2025",), ("phishcrawl",)),
                "cps_urlhaus": (("cps_abuse-ch-urlhaus",), _OPEN),
                "faizann24 and others": (
                    ("faizann24", "maltrail_malware", "tweetfeed"),
                    ("pdd_legit2017",),
                ),
            },
            "host not an address",
            shares=((0.001, 0.3, 0.7), (0.12, 0.03, 0.85)),
            powers=(0.5, 0.5, -0.5),
            sum=(1.0, 0.5, 1.0),
            floor=-2.0,
            address=2.0,
            left_out=_ENTROPY,
        ),
        Task(
            "malicious-download",
            "downloads.csv.gz",
            ("1",),
            ("0",),
            {
                "urlhaus_filter": (("urlhaus_filter_2018_22",), ("debian_pool",)),
                "cps_urlhaus2022": (("cps_urlhaus2022",), ("brave_sitelist2015_filelike",)),
                "urlhaus2025": (("urlhaus2025",), ("pdd_legit2017_filelike",)),
                "faizann24": (("faizann24",), ("scoopinstaller_main",)),
                "maltrail": (("maltrail",), ("phishcrawl_filelike",)),
            },
            "host not an address",
            unseen_path=True,
            hardest=("urlhaus2025", "faizann24"),
            ends=("script", "program", "archive", "document", "machine", "other"),
            shares=((0.001, 0.1, 0.9), (0.05, 0.01, 0.94)),
            powers=(0.5, 0.5, -0.5),
            sum=(1.0, 0.4, 1.5),
            floor=0.0,
            address=2.0,
            programs=0.3,
            left_out=_ENTROPY,
        ),
    )
}
