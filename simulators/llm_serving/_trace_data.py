"""The user's own trace, common to the labs that replay one: the check before anything is stored, and reading it inside a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from simulators.errors import InvalidInput
from simulators.lab import Context, DataFile, DataInfo, DataOption, DataSlot, DataSpec

if TYPE_CHECKING:
    from simulators.engines.serving import Trace

MAX_BYTES = 20 * 2**20
MAX_ROWS = 1_000_000
INTERACTIVE_ROWS = 100_000
JITTER_SEED = 0
SLOT = "trace"
FORMATS = ("auto", "azure", "mooncake", "vidur", "csv")
CLOCKS = ("as recorded", "at the lab's rate")


def read_file(file: DataFile, options: Mapping[str, str]) -> Trace:
    """The trace as the options want it. Raises InvalidInput with file, line and column for what cannot be used."""
    from simulators.engines.serving import load_trace

    if file.path.stat().st_size > MAX_BYTES:
        raise InvalidInput(f"{file.name} has {file.path.stat().st_size / 2**20:.1f} MB; expected at most {MAX_BYTES // 2**20} MB.")
    limit = _rows(options.get("rows", ""))
    try:
        trace = load_trace(file.path, options.get("format") or "auto", limit=limit)
    except InvalidInput as error:  # the file is stored under another name than its owner knows it by
        raise InvalidInput(error.message.replace(file.path.name, file.name), field=error.field) from error
    if options.get("jitter") == "yes":
        trace = trace.jittered(JITTER_SEED)
    return trace if limit is None or len(trace) < limit else replace(trace, notes=(*trace.notes, f"Only the first {limit:,} rows count."))


def _rows(text: str) -> int | None:
    if not text.strip():
        return None
    if not text.strip().isdigit() or not 1 <= int(text) <= MAX_ROWS:
        raise InvalidInput(f"Rows: {text!r} was given; expected a whole number from 1 to {MAX_ROWS:,}, or nothing.", field="rows")
    return int(text)


def check(files: Mapping[str, DataFile], options: Mapping[str, str]) -> DataInfo:
    """Reads the file once and says what it holds; see `DataSpec.check`."""
    trace = read_file(files[SLOT], options)
    warnings = list(trace.notes)
    if len(trace) > INTERACTIVE_ROWS:
        warnings.append(f"{len(trace):,} requests take seconds for every change; up to {INTERACTIVE_ROWS:,} stay interactive.")
    return DataInfo(facts=tuple(_facts(trace)), warnings=tuple(warnings))


def _facts(trace: Trace) -> list[tuple[str, str]]:
    prompt, output = trace.prompt_tokens, trace.output_tokens
    facts = [
        ("Requests", f"{len(trace):,} in {trace.duration_s:,.1f} s"),
        ("Prompt tokens", f"mean {prompt.mean():,.0f}, longest {prompt.max():,}"),
        ("Output tokens", f"mean {output.mean():,.0f}, longest {output.max():,}"),
    ]
    if trace.duration_s > 0:
        facts.insert(1, ("Mean rate", f"{trace.rate_rps:.3g} requests/s"))
    if trace.tenant is not None:
        facts.append(("Tenants", f"{len(trace.tenant_names):,}"))
    if trace.hash_ids is not None:
        facts.append(("Prefix blocks", f"{len(trace.hash_ids):,} of {trace.block_tokens} tokens"))
    facts += [(name, "given") for name, column in (("Priority", trace.priority), ("TTFT limits", trace.ttft_slo_s)) if column is not None]
    return facts


def own_trace(ctx: Context) -> Trace | None:
    """The trace the run was given, kept in the worker; None where there is none."""
    if ctx.data is None:
        return None
    data = ctx.data
    return ctx.asset(f"serving/own/{data.digest}", lambda: read_file(data.files[SLOT], data.options), disk=False)


def at_own_or_lab_rate(ctx: Context, trace: Trace, rate_rps: float) -> Trace:
    """The trace on its own clock, or with its arrivals stretched to the rate on the page, as its owner chose."""
    wanted = ctx.data is not None and ctx.data.options.get("clock") == CLOCKS[1]
    return trace.at_rate(rate_rps) if wanted else trace


SPEC = DataSpec(
    title="Your trace",
    help="One line a request: when it came, how long its prompt and its answer were. Public traces can be uploaded as they are.",
    slots=(
        DataSlot(
            SLOT,
            "Requests",
            "Azure CSV (TIMESTAMP, ContextTokens, GeneratedTokens), Mooncake JSON lines (timestamp in ms, input_length, output_length, "
            "hash_ids), Vidur CSV (arrived_at, num_prefill_tokens, num_decode_tokens), or arrival_s, prompt_tokens, output_tokens as CSV "
            "or JSON lines. All may add tenant, priority, ttft_slo_s, session, hash_ids.",
            (".csv", ".jsonl"),
            max_bytes=MAX_BYTES,
        ),
    ),
    options=(
        DataOption("format", "Format", "auto goes by the columns", choices=FORMATS, default="auto"),
        DataOption(
            "clock", "Clock", "Replay at the recorded times, or stretched to the rate set on the page", choices=CLOCKS, default=CLOCKS[0]
        ),
        DataOption(
            "jitter",
            "Spread arrivals",
            "For logs stamped every few seconds: spreads each stamp's requests over its step",
            choices=("no", "yes"),
            default="no",
        ),
        DataOption("rows", "Rows", f"Only the first so many rows; empty: all, up to {MAX_ROWS:,}"),
    ),
    check=check,
    example="arrival_s,prompt_tokens,output_tokens,tenant\n0.0,1200,250,free\n0.4,100000,500,pro\n0.5,300,120,free\n",
)
