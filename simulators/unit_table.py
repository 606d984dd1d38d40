"""The units this site reads and writes: labs, calculators, quiz answers and claims share this one table.

An atom is what a unit is made of: "GB", "users", "s". A dimension is the multiset of what stands above and below the line; one with
nothing in it is a ratio. Each thing that can be counted is a dimension of its own, so that users are never compared with tokens.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple


class Atom(NamedTuple):
    """`factor` turns a value into base units (bytes, s, $, m, FLOP, J, one of what is counted).

    over, under  what stands above and below the line: qps is ("request",) over ("time",)
    one, many    how the unit is written below the line and above it: "user", "users"
    other        the factor of the binary unit people confuse this one with (GB and GiB), or None
    """

    over: tuple[str, ...]
    factor: float
    one: str
    many: str
    under: tuple[str, ...] = ()
    note: str = ""
    other: float | None = None


INFORMATION, TIME, MONEY, LENGTH, COMPUTE, ENERGY = "information", "time", "money", "length", "compute", "energy"
PREFIXED = frozenset({INFORMATION, ENERGY})  # their units carry their own prefix: no "2M GB"
NOT_COUNTED = PREFIXED | {TIME, LENGTH, MONEY, COMPUTE}

# Families apart by semicolons: the first word names the dimension, the others mean the same. Plurals are made below.
COUNTED = """
user member; person; reviewer moderator labeller annotator; viewer; item; candidate; product; request req query call search question
lookup; read get; write; token; prompt; message; conversation; vector embedding; document doc; page; chunk passage; image picture photo;
video; clip; frame; impression; exposure; click; conversion; view; like; vote; post; feed; ad advertisement; auction; event; session;
slate; payment transaction; case alert; appeal; review rating; label; example row record; report; visit; trip; evaluation; prediction
score; gpu accelerator; card; device; core cpu; machine server host box node; worker; replica copy; shard; thread; camera; car vehicle;
region; cluster; tenant; group; slice; pool; arm; segment; experiment; metric; launch; test; look; check; run; round; pass epoch;
training; world; step; change; fault; alarm; date; checkpoint; command; round-trip; distance; eviction; rebuild; encoder; model; head;
expert; tree; layer; level; column; channel; bin; band; bucket; counter; cell; tile; window; field; feature; parameter param weight; dim
dimension; sub-quantiser subquantizer; code; id; key; value; number; unit; entity; link edge; pair; sequence; block; slot; position;
point; rank; hash; term; result; answer; action; degree; pixel px; mac multiply-add; quality
"""
SHOWN = {"gpu": "GPU", "cpu": "CPU", "mac": "MAC", "req": "request", "doc": "document", "param": "parameter", "px": "pixel"}

IRREGULAR = {"person": "people", "epoch": "epochs", "px": "px"}

# Words that stand before a counted thing.
MULTIPLIERS = {
    "k": 1e3,
    "K": 1e3,
    "thousand": 1e3,
    "M": 1e6,
    "million": 1e6,
    "mn": 1e6,
    "bn": 1e9,
    "billion": 1e9,
    "B": 1e9,
    "G": 1e9,
    "T": 1e12,
    "trillion": 1e12,
    "P": 1e15,
}

# Pure numbers: a name for what they are, no scale of their own.
RATIOS = {
    "%": 0.01,
    "percent": 0.01,
    "pp": 0.01,
    "percentage points": 0.01,
    "‰": 0.001,
    "x": 1.0,
    "times": 1.0,
    "fold": 1.0,
    "share": 1.0,
    "ratio": 1.0,
    "fraction": 1.0,
    "probability": 1.0,
    "rate": 1.0,
    "correlation": 1.0,
    "cosine": 1.0,
    "exponent": 1.0,
    "index": 1.0,
    "phi": 1.0,
    "AUC": 1.0,
    "NE": 1.0,
    "Gini": 1.0,
    "PSI": 1.0,
    "nat": 1.0,
    "nats": 1.0,
    "logit": 1.0,
    "log-odds": 1.0,
    "s.d.": 1.0,
    "s.e.": 1.0,
}

# Units of labs that say more than a unit: what they come to. (over, under, factor)
LABELS: dict[str, tuple[tuple[str, ...], tuple[str, ...], float]] = {
    "10⁻³ nats": ((), (), 1e-3),
    "1 - cosine": ((), (), 1.0),
    "1 = yes": ((), (), 1.0),
    "yes is 1": ((), (), 1.0),
    "1 / temperature": ((), (), 1.0),
    "Weibull shape": ((), (), 1.0),
    "of the base rate's": ((), (), 1.0),
    "of the constant's": ((), (), 1.0),
    "difficulty units": ((), (), 1.0),
    "thousand": ((), (), 1e3),
    "billion": ((), (), 1e9),
    "per million": ((), (), 1e-6),
    "$ eCPM": ((MONEY,), ("impression",), 1e-3),
    "CPU s": (("core", TIME), (), 1.0),
    "d ago": ((TIME,), (), 86_400.0),
    "plain steps": (("step",), (), 1.0),
    "step": (("step",), (), 1.0),
    "rank, 0 = full": (("rank",), (), 1.0),
    "buckets, 0 = none": (("bucket",), (), 1.0),
    "tokens/step/request": (("token",), ("step", "request"), 1.0),
}

# What people write and mean something else by: never guessed.
TRAPS = {
    "G": "Write GB or GiB.",
    "M": "Write the unit after M: MB, or M and what is counted.",
    "T": "Write the unit after T: TB, or T and what is counted.",
    "k": "Write the unit after k: kB, or k and what is counted.",
    "K": "Write the unit after K: kB, or k and what is counted.",
    "P": "Write PB.",
    "b": "Write B for bytes or bit for bits.",
    "kb": "kb reads as kilobit; write kB or kbit.",
    "Kb": "Kb reads as kilobit; write kB or kbit.",
    "Mb": "Mb reads as megabit; write MB or Mbit.",
    "Gb": "Gb reads as gigabit; write GB or Gbit.",
    "Tb": "Tb reads as terabit; write TB or Tbit.",
    "mb": "Write MB.",
    "mB": "Write MB.",
    "gb": "Write GB.",
    "gB": "Write GB.",
    "tb": "Write TB.",
    "pb": "Write PB.",
    "tps": "Write tokens/s or requests/s.",
    "S": "Write s for seconds.",
    "flops": "Write FLOP for operations or FLOPS for operations a second.",
    "MS": "Write ms.",
    "mS": "Write ms.",
    "msec": "Write ms.",
}


def _measures() -> Iterator[tuple[str, Atom]]:
    """Units with a physical scale."""
    for names, dimension, factor, note in _PLAIN:
        for name in names.split():
            yield name, Atom((dimension,), factor, names.split()[0], names.split()[0], note=note)
    for power, letter in enumerate("kMGTP", start=1):
        decimal, binary = 1e3**power, 1024.0**power
        yield f"{letter}B", _information(f"{letter}B", decimal, binary)
        yield f"{letter.upper()}iB", _information(f"{letter.upper()}iB", binary, decimal)
        yield f"{letter}bit", _information(f"{letter}bit", decimal / 8, None)
        for name in (f"{letter}FLOP", f"{letter}FLOPs"):
            yield name, Atom((COMPUTE,), decimal, f"{letter}FLOP", f"{letter}FLOP")
        yield f"{letter}FLOPS", Atom((COMPUTE,), decimal, f"{letter}FLOP/s", f"{letter}FLOP/s", (TIME,))
        yield f"{letter}Hz", Atom((), decimal, f"{letter}Hz", f"{letter}Hz", (TIME,))
        yield f"{letter}px", Atom(("pixel",), decimal, f"{letter}px", f"{letter}px")
    yield "KB", _information("kB", 1e3, 1024.0)._replace(note="KB is read as kB, 1000 bytes.")


def _information(name: str, factor: float, other: float | None) -> Atom:
    return Atom((INFORMATION,), factor, name, name, other=other)


_PLAIN = (
    ("B", INFORMATION, 1.0, ""),
    ("bit bits", INFORMATION, 0.125, ""),
    ("ns nanosecond nanoseconds", TIME, 1e-9, ""),
    ("us microsecond microseconds", TIME, 1e-6, ""),
    ("ms millisecond milliseconds", TIME, 1e-3, ""),
    ("s sec secs second seconds", TIME, 1.0, ""),
    ("min mins minute minutes", TIME, 60.0, ""),
    ("h hr hrs hour hours", TIME, 3600.0, ""),
    ("d", TIME, 86_400.0, ""),
    ("$ USD dollar dollars", MONEY, 1.0, ""),
    ("mm", LENGTH, 1e-3, ""),
    ("cm", LENGTH, 1e-2, ""),
    ("m meter meters metre metres", LENGTH, 1.0, ""),
    ("km", LENGTH, 1e3, ""),
    ("FLOP FLOPs", COMPUTE, 1.0, ""),
    ("J", ENERGY, 1.0, ""),
    ("kJ", ENERGY, 1e3, ""),
    ("kWh", ENERGY, 3.6e6, ""),
)
_WORDED = (
    ("byte", "bytes", INFORMATION, 1.0, ""),
    ("day", "days", TIME, 86_400.0, ""),
    ("week", "weeks", TIME, 604_800.0, ""),
    ("month", "months", TIME, 30 * 86_400.0, "A month is read as 30 days."),
    ("year", "years", TIME, 365 * 86_400.0, "A year is read as 365 days."),
    ("mile", "miles", LENGTH, 1609.344, ""),
)
_RATES = {
    "qps": Atom(("request",), 1.0, "requests/s", "requests/s", (TIME,)),
    "rps": Atom(("request",), 1.0, "requests/s", "requests/s", (TIME,)),
    "iops": Atom(("request",), 1.0, "requests/s", "requests/s", (TIME,)),
    "fps": Atom(("frame",), 1.0, "frames/s", "frames/s", (TIME,)),
    "hz": Atom((), 1.0, "Hz", "Hz", (TIME,)),
    "FLOPS": Atom((COMPUTE,), 1.0, "FLOP/s", "FLOP/s", (TIME,)),
    "W": Atom((ENERGY,), 1.0, "W", "W", (TIME,)),
    "kW": Atom((ENERGY,), 1e3, "kW", "kW", (TIME,)),
}


def _worded() -> Iterator[tuple[str, Atom]]:
    for one, many, dimension, factor, note in _WORDED:
        atom = Atom((dimension,), factor, one, many, note=note)
        yield one, atom
        yield many, atom
    for family in COUNTED.split(";"):
        words = family.split()
        for word in words:
            shown = SHOWN.get(word, word)
            atom = Atom((words[0],), 1.0, shown, _plural(shown))
            for spelling in (word, _plural(word), *(("persons",) if word == "person" else ())):
                yield spelling, atom


def _plural(word: str) -> str:
    if word in IRREGULAR:
        return IRREGULAR[word]
    if word.endswith(("ry", "ty", "py")):
        return word[:-1] + "ies"
    return word + ("es" if word.endswith(("s", "ch", "sh", "x")) else "s")


ATOMS: dict[str, Atom] = dict(_measures()) | _RATES  # read as written: GB is not gb
WORDS: dict[str, Atom] = dict(_worded())  # read in any case: Users, GPUs
SINGULAR = {_plural(word): word for word in (*ATOMS, *WORDS) if len(word) > 1 and (_plural(word) in WORDS or _plural(word) in ATOMS)}
