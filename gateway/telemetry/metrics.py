"""Every metric, label and bucket of the gateway, in one table, and the object through which one worker counts.

A child is resolved once (`metrics.requests.labels(endpoint=..., ...)`) and kept; counting is then a store into mapped
memory: 0.07 us for `inc`, 0.14 us for `observe` (CPython 3.11). How the numbers outlive a worker is told in `slots.py`,
how those of several workers become one in `merge.py`. docs/metrics.md says when to look at each.

Only the event loop's thread may count; another thread asks it to (`loop.call_soon_threadsafe(child.inc)`).
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Literal

from gateway.telemetry.families import Counter, Family, Gauge, Histogram
from gateway.telemetry.slots import Slots
from gateway.telemetry.spec import OTHER, Label, Spec, counter, digest, gauge, histogram

# OpenTelemetry's buckets for a GenAI call, 10 ms doubling, carried on to the default total timeout of 300 s
DURATION_S = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 163.84, 327.68)
OVERHEAD_S = (0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05)

STATUSES = (
    *("200", "400", "401", "403", "404", "405", "409", "413", "429", "499", "500", "502", "503", "504"),
    *("1xx", "2xx", "3xx", "4xx", "5xx"),
)
UPSTREAM_ERRORS = (
    *("connect", "timeout_connect", "timeout_first_byte", "timeout_idle", "timeout_total"),
    *("reset", "protocol", "status_4xx", "status_5xx"),
)

ENDPOINT = Label("endpoint", "route templates of the API, never a raw path")
MODEL = Label("model", "names under `models` in the configuration; empty where none was chosen")
PROVIDER = Label("provider", "names under `providers` in the configuration; empty where none was chosen")
CODE = Label("code", "error codes of the gateway (docs/errors.md)")
STATUS = Label("status", "HTTP statuses, those of no special meaning by class", STATUSES)
TOKEN_KIND = Label("kind", "kinds of token", ("input", "output", "cache_read", "cache_write", "reasoning"))
TOKEN_SOURCE = Label("source", "who counted", ("provider", "estimated"))
CONNECTION_STATE = Label("state", "states of a pooled connection", ("idle", "active"))
CONNECT_OUTCOME = Label("outcome", "ends of a dial", ("ok", "refused", "timeout", "dns", "tls", "error"))
ERROR_KIND = Label("kind", "ways in which a provider fails", UPSTREAM_ERRORS)
RELOAD_OUTCOME = Label("outcome", "ends of a reload", ("ok", "unchanged", "failed"))
EVENT_TYPE = Label(
    "type",
    "types of events (docs/webhooks.md)",
    (
        *("budget.warning", "budget.exceeded", "prices.stale"),
        *("ledger.unavailable", "ledger.recovered", "calls.unpriced", "webhook.test"),
    ),
)
WEBHOOK_OUTCOME = Label(
    "outcome",
    "ends of one request to an endpoint",
    (
        "ok",
        "redirect",
        "client_error",
        "server_error",
        "gone",
        "timeout",
        "refused",
        "dns",
        "tls",
        "address_refused",
        "broken",
    ),
)
END = Label("end", "ends of a delivery", ("delivered", "failed", "dropped"))
ATTEMPT_STATE = Label("state", "ends of an attempt in the ledger", ("settled", "estimated", "void", "unknown"))
VERSION = Label("version", "the gateway's own version")

REQUESTS = counter("gateway_requests_total", "Requests answered.", ENDPOINT, MODEL, PROVIDER, STATUS)
REQUEST_DURATION = histogram(
    "gateway_request_duration_seconds",
    "From the first byte of a request to the last of its answer.",
    *(ENDPOINT, MODEL),
    buckets=DURATION_S,
)
TIME_TO_FIRST_TOKEN = histogram(
    "gateway_time_to_first_token_seconds",
    "From the request to the first token sent to the client, streams only.",
    MODEL,
    buckets=DURATION_S,
)
TOKENS = counter(
    "gateway_tokens_total",
    "Tokens by kind; input includes cache reads and writes, output includes reasoning.",
    *(MODEL, TOKEN_KIND, TOKEN_SOURCE),
)
OVERHEAD = histogram(
    "gateway_overhead_seconds",
    "Time of a request that was not spent waiting for the provider.",
    ENDPOINT,
    buckets=OVERHEAD_S,
)
IN_FLIGHT = gauge("gateway_in_flight_requests", "Requests being answered.")
STREAMS = gauge("gateway_streams", "Answers being streamed.")
REFUSALS = counter("gateway_refusals_total", "Requests that the gateway itself refused.", CODE)
CLIENT_DISCONNECTS = counter(
    "gateway_client_disconnects_total", "Clients that left before their answer was complete.", ENDPOINT
)
IDEMPOTENT_REPLAYS = counter(
    "gateway_idempotent_replays_total", "Requests answered from the first answer to the same Idempotency-Key."
)
WEBHOOK_EVENTS = counter("gateway_webhook_events_total", "Events that somebody is to be told of.", EVENT_TYPE)
WEBHOOK_ATTEMPTS = counter("gateway_webhook_attempts_total", "Requests to endpoints.", EVENT_TYPE, WEBHOOK_OUTCOME)
WEBHOOK_DELIVERIES = counter("gateway_webhook_deliveries_total", "Events by what became of them.", EVENT_TYPE, END)
ATTEMPTS = counter("gateway_attempts_total", "Attempts booked, by how they ended.", PROVIDER, ATTEMPT_STATE)
COST_USD = counter(
    "gateway_cost_usd_total",
    "Dollars booked, rounded for plots; reports have the exact sums.",
    *(MODEL, PROVIDER, TOKEN_SOURCE),
)
UNPRICED = counter("gateway_unpriced_attempts_total", "Attempts that have no price.", MODEL, PROVIDER)
BUDGET_OVERRUNS = counter(
    "gateway_budget_overruns_total", "Attempts that cost more than the ceiling that was held for them."
)
BUDGET_OVERRUN_USD = counter("gateway_budget_overrun_usd_total", "Dollars beyond what was held.")
PRICES_AGE = gauge(
    "gateway_prices_age_seconds", "Since the price catalogue's newest row was checked; alarm at 60 days.", merge="max"
)
LEDGER_QUEUED = gauge("gateway_ledger_queued_events", "Events that are not on disk yet.")
LEDGER_OPEN = gauge("gateway_ledger_open_attempts", "Attempts that have not ended.")
LEDGER_OLDEST = gauge(
    "gateway_ledger_oldest_seconds", "How long the oldest reservation has waited for the disk.", merge="max"
)
LEDGER_REFUSING = gauge("gateway_ledger_refusing", "1 while calls are refused because of the ledger.", merge="max")
LEDGER_ROWS = counter("gateway_ledger_rows_total", "Rows written.")
LEDGER_COMMITS = counter("gateway_ledger_commits_total", "Transactions written; rows a commit is how well they share.")
LEDGER_COMMIT_S = counter("gateway_ledger_commit_seconds_total", "Time that commits took, waiting for the disk.")
UPSTREAM_CONNECTIONS = gauge("gateway_upstream_connections", "Open connections.", PROVIDER, CONNECTION_STATE)
UPSTREAM_CONNECTS = counter("gateway_upstream_connects_total", "Connections dialled.", PROVIDER, CONNECT_OUTCOME)
UPSTREAM_ERRORS_TOTAL = counter("gateway_upstream_errors_total", "Attempts that failed.", PROVIDER, ERROR_KIND)
UPSTREAM_RETRIES = counter("gateway_upstream_retries_total", "Attempts after the first of a request.", PROVIDER)
CONFIG_RELOADS = counter("gateway_config_reloads_total", "Reloads of the configuration.", RELOAD_OUTCOME)
CONFIG_RELOAD_FAILING = gauge(
    "gateway_config_reload_failing", "1 while the files on disk cannot be loaded and the old view serves.", merge="max"
)
CONFIG_LOADED = gauge(
    "gateway_config_loaded_timestamp_seconds", "When the configuration in force was loaded, Unix time.", merge="max"
)
KEYS = gauge("gateway_keys", "API keys known, revoked and expired ones left out.", merge="max")
LOG_LINES_DROPPED = counter("gateway_log_lines_dropped_total", "Log lines lost because nobody read them fast enough.")
METRICS_OVERFLOW = counter(
    "gateway_metrics_overflow_total",
    'Label sets counted under "other" or not shown: over the cap, not in the list, or no room on disk.',
)
WORKERS = gauge("gateway_workers", "Worker processes alive.")
WORKER_RESTARTS = counter("gateway_worker_restarts_total", "Workers started in place of one that died.")
BUILD_INFO = gauge("gateway_build_info", "Always 1; its label tells the version that runs.", VERSION, merge="max")
PROCESS_CPU = counter("gateway_process_cpu_seconds_total", "CPU time, user and system, of all processes.")
PROCESS_MEMORY = gauge("gateway_process_resident_memory_bytes", "Resident memory of all processes.")
PROCESS_FDS = gauge("gateway_process_open_fds", "Open file descriptors of all processes.")

TABLE: tuple[Spec, ...] = (
    *(REQUESTS, REQUEST_DURATION, TIME_TO_FIRST_TOKEN, TOKENS, OVERHEAD, IN_FLIGHT, STREAMS),
    *(REFUSALS, CLIENT_DISCONNECTS, IDEMPOTENT_REPLAYS),
    *(WEBHOOK_EVENTS, WEBHOOK_ATTEMPTS, WEBHOOK_DELIVERIES),
    *(ATTEMPTS, COST_USD, UNPRICED, BUDGET_OVERRUNS, BUDGET_OVERRUN_USD, PRICES_AGE),
    *(LEDGER_QUEUED, LEDGER_OPEN, LEDGER_OLDEST, LEDGER_REFUSING, LEDGER_ROWS, LEDGER_COMMITS, LEDGER_COMMIT_S),
    *(UPSTREAM_CONNECTIONS, UPSTREAM_CONNECTS, UPSTREAM_ERRORS_TOTAL, UPSTREAM_RETRIES),
    *(CONFIG_RELOADS, CONFIG_RELOAD_FAILING, CONFIG_LOADED, KEYS, LOG_LINES_DROPPED, METRICS_OVERFLOW),
    *(WORKERS, WORKER_RESTARTS, BUILD_INFO, PROCESS_CPU, PROCESS_MEMORY, PROCESS_FDS),
)

_STATUS_LABELS = {n: str(n) if str(n) in STATUSES else f"{n // 100}xx" for n in range(100, 600)}


def status_label(status: int) -> str:
    """An HTTP status as the label `status`: itself where it has a meaning of its own here, else its class."""
    return _STATUS_LABELS.get(status, OTHER)


class Metrics:
    """All metrics of one process.

    `folder` is shared by all processes of one gateway and is best kept in memory (`rundir.py` says why); `worker` is
    the index under which a successor goes on counting. Raises `OSError` if the files cannot be made there.
    """

    def __init__(self, folder: Path, worker: int | Literal["supervisor"], version: str) -> None:
        self.folder = folder
        name = worker if isinstance(worker, str) else f"worker-{worker}"
        self._slots = Slots(folder, name, {spec.name: spec.width for spec in TABLE}, digest(TABLE))
        self.metrics_overflow = Family(METRICS_OVERFLOW, Counter, self._slots, lambda: None).labels()

        self.requests = self._counters(REQUESTS)
        self.request_duration = self._histograms(REQUEST_DURATION)
        self.time_to_first_token = self._histograms(TIME_TO_FIRST_TOKEN)
        self.tokens = self._counters(TOKENS)
        self.overhead = self._histograms(OVERHEAD)
        self.in_flight = self._gauges(IN_FLIGHT).labels()
        self.streams = self._gauges(STREAMS).labels()
        self.refusals = self._counters(REFUSALS)
        self.client_disconnects = self._counters(CLIENT_DISCONNECTS)
        self.idempotent_replays = self._counters(IDEMPOTENT_REPLAYS).labels()
        self.webhook_events = self._counters(WEBHOOK_EVENTS)
        self.webhook_attempts = self._counters(WEBHOOK_ATTEMPTS)
        self.webhook_deliveries = self._counters(WEBHOOK_DELIVERIES)
        self.attempts = self._counters(ATTEMPTS)
        self.cost_usd = self._counters(COST_USD)
        self.unpriced = self._counters(UNPRICED)
        self.budget_overruns = self._counters(BUDGET_OVERRUNS).labels()
        self.budget_overrun_usd = self._counters(BUDGET_OVERRUN_USD).labels()
        self.prices_age = self._gauges(PRICES_AGE).labels()
        self.ledger_queued = self._gauges(LEDGER_QUEUED).labels()
        self.ledger_open = self._gauges(LEDGER_OPEN).labels()
        self.ledger_oldest = self._gauges(LEDGER_OLDEST).labels()
        self.ledger_refusing = self._gauges(LEDGER_REFUSING).labels()
        self.ledger_rows = self._counters(LEDGER_ROWS).labels()
        self.ledger_commits = self._counters(LEDGER_COMMITS).labels()
        self.ledger_commit_s = self._counters(LEDGER_COMMIT_S).labels()
        self.upstream_connections = self._gauges(UPSTREAM_CONNECTIONS)
        self.upstream_connects = self._counters(UPSTREAM_CONNECTS)
        self.upstream_errors = self._counters(UPSTREAM_ERRORS_TOTAL)
        self.upstream_retries = self._counters(UPSTREAM_RETRIES)
        self.config_reloads = self._counters(CONFIG_RELOADS)
        self.config_reload_failing = self._gauges(CONFIG_RELOAD_FAILING).labels()
        self.config_loaded = self._gauges(CONFIG_LOADED).labels()
        self.keys = self._gauges(KEYS).labels()
        self.log_lines_dropped = self._counters(LOG_LINES_DROPPED).labels()
        self.worker_restarts = self._counters(WORKER_RESTARTS).labels()
        self.workers = self._gauges(WORKERS).labels()
        self.process_cpu = self._counters(PROCESS_CPU).labels()
        self.process_memory = self._gauges(PROCESS_MEMORY).labels()
        self.process_fds = self._gauges(PROCESS_FDS).labels()

        self.workers.set(0.0 if worker == "supervisor" else 1.0)
        self._gauges(BUILD_INFO).labels(version=version).set(1.0)
        self._cpu_counted_s = 0.0
        self.refresh()

    def __repr__(self) -> str:
        return f"<Metrics {self._slots!r}>"

    def refresh(self) -> None:
        """Bring this process's CPU time, memory and descriptors up to date: about once a second, and at a scrape.

        Each process does this for itself, because what another one reads of it is lost with it, and a sum of CPU
        times that loses a part goes down. What is lost at a kill is the last second.
        """
        cpu_s = time.process_time()
        self.process_cpu.inc(cpu_s - self._cpu_counted_s)
        self._cpu_counted_s = cpu_s
        if sys.platform == "linux":
            with suppress(OSError):  # no descriptor left to read with
                self.process_memory.set(_resident_bytes())
                self.process_fds.set(len(os.listdir("/proc/self/fd")) - 1)  # less the one that lists

    def close(self) -> None:
        """Say what the CPU has done, and leave: this process's gauges count no more."""
        self.refresh()
        self._slots.close()

    def _counters(self, spec: Spec) -> Family[Counter]:
        return Family(spec, Counter, self._slots, self.metrics_overflow.inc)

    def _gauges(self, spec: Spec) -> Family[Gauge]:
        return Family(spec, Gauge, self._slots, self.metrics_overflow.inc)

    def _histograms(self, spec: Spec) -> Family[Histogram]:
        return Family(spec, Histogram, self._slots, self.metrics_overflow.inc)


def _resident_bytes() -> int:
    with open("/proc/self/statm", "rb") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
