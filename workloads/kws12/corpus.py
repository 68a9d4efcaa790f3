"""What the synthetic keyword corpus says, in whose voices, and which split each voice belongs to.

A voice is an accent of English and a speaker variant, in eSpeak NG's notation `accent+variant`. The split is by
variant, and variants of one family (`steph`, `steph2`: the same formants, a little changed) stay together, so that no
speaker is heard in two splits. The families were dealt once, by a shuffle, before anything was trained; accents are
shared.
"""

from __future__ import annotations

from typing import Literal, get_args

from accelsim.errors import InputError

Split = Literal["train", "calib", "test"]

SPLITS: tuple[Split, ...] = get_args(Split)

SILENCE = "_silence_"
UNKNOWN = "_unknown_"

KEYWORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")

CLASS_NAMES = (SILENCE, UNKNOWN, *KEYWORDS)
"""Output order of the network: the label is the index."""

UNKNOWN_WORDS = (
    *("backward", "bed", "bird", "cat", "dog", "eight", "five", "follow", "forward", "four", "happy", "house"),
    *("learn", "marvin", "nine", "one", "seven", "sheila", "six", "three", "two", "visual", "wow", "zero"),
    *("apple", "bottle", "chair", "garden", "hello", "lamp", "money", "open", "paper", "river", "table", "window"),
)
"""Words of the class `_unknown_`, heard in every split."""

HELD_OUT_WORDS = ("tree", "orange", "music", "doctor")
"""Words of the class `_unknown_` that only the test split says."""

ACCENTS = (
    "en-029",
    "en-gb",
    "en-gb-scotland",
    "en-gb-x-gbclan",
    "en-gb-x-gbcwmd",
    "en-gb-x-rp",
    "en-us",
    "en-us-nyc",
)

# Left out: `fast`, which its own file calls unstable, and the two whispers: a way to speak, not a speaker, and one that
# no other split would have heard.
_FAMILIES: dict[Split, tuple[tuple[str, ...], ...]] = {
    "train": (
        *(("Andy", "AnxiousAndy"), ("Gene", "Gene2"), ("edward", "edward2"), ("steph", "steph2", "steph3")),
        ("robosoft", *(f"robosoft{i}" for i in range(2, 9))),
        *(("Alex",), ("Alicia",), ("Andrea",), ("Annie",), ("Denis",), ("Diogo",), ("Hugo",), ("Jacky",), ("Lee",)),
        *(("Marco",), ("Mario",), ("Michael",), ("Nguyen",), ("adam",), ("announcer",), ("antonio",), ("aunty",)),
        *(("boris",), ("david",), ("ed",), ("f1",), ("f3",), ("f5",), ("grandma",), ("gustave",), ("kaukovalta",)),
        *(("linda",), ("m1",), ("m2",), ("m3",), ("m5",), ("m7",), ("michel",), ("norbert",), ("pablo",), ("paul",)),
        *(("pedro",), ("quincy",), ("robert",), ("sandro",), ("travis",), ("victor",), ("zac",)),
    ),
    "calib": (
        *(("RicishayMax", "RicishayMax2", "RicishayMax3"), ("anika", "anikaRobot")),
        *(("Demonic",), ("Mr serious",), ("UniRobot",), ("belinda",), ("croak",), ("john",), ("marcelo",), ("max",)),
        ("rob",),
    ),
    "test": (
        ("caleb", "klatt", *(f"klatt{i}" for i in range(2, 7))),
        ("iven", "iven2", "iven3", "iven4"),
        *(("Henrique",), ("Storm",), ("Tweaky",), ("benjamin",), ("f2",), ("f4",), ("grandpa",), ("m4",), ("m6",)),
        *(("m8",), ("miguel",), ("shelby",)),
    ),
}


def families_of(split: Split) -> tuple[tuple[str, ...], ...]:
    """Speaker variants of a split, those of one family together.

    Raises
    ------
    InputError
        If there is no such split.
    """
    if split not in _FAMILIES:
        raise InputError("keyword corpus", "split", repr(split), "one of " + ", ".join(SPLITS))
    return _FAMILIES[split]


def unknown_words_of(split: Split) -> tuple[str, ...]:
    """Words a split says for the class `_unknown_`; the test split begins with some of its own.

    Raises
    ------
    InputError
        If there is no such split.
    """
    families_of(split)
    return HELD_OUT_WORDS + UNKNOWN_WORDS if split == "test" else UNKNOWN_WORDS
