"""The clients: what an assignment costs on the caller's path."""

import json
import re
import subprocess
import time
from pathlib import Path

from mab_client import Client
from tests.bench.rows import Row
from tests.unit.client.conftest import experiment, listed

EXPERIMENTS = 10_000
CALLS = 200_000
MODULE = Path(__file__).parents[2] / "clients" / "js" / "mab-client.js"
AWAY = "http://127.0.0.1:9"
NODE = """
import { readFileSync } from "node:fs";
import { Client } from %s;
const client = new Client("http://127.0.0.1:9", { bootstrap: readFileSync(0, "utf8") });
const run = (calls) => {
  const before = process.cpuUsage();
  for (let n = 0; n < calls; n++) client.assign("exp_" + n %% %d, "session-" + n);
  return process.cpuUsage(before).user / calls;
};
run(%d);
console.log(run(%d));
client.close();
"""


def run() -> list[Row]:
    """Measure both clients with 10,000 experiments."""
    body = listed(*(experiment(str(number)) for number in range(EXPERIMENTS)))
    python, node = _python(body), _node(body)
    return [
        _row("an assignment in Python, CPU", python, most=5.0),
        _row("an assignment in Node, CPU", node, most=1.0),
    ]


def _row(name: str, microseconds: float, *, most: float) -> Row:
    return Row(name, f"< {most:g} us", f"{microseconds:.2f} us", microseconds < most)


def _python(body: str) -> float:
    with Client(AWAY, bootstrap=body) as client:
        began = time.process_time()
        for number in range(CALLS):
            client.assign(f"exp_{number % EXPERIMENTS}", f"session-{number}")
        return (time.process_time() - began) / CALLS * 1e6


def _node(body: str) -> float:
    program = NODE % (json.dumps(str(MODULE)), EXPERIMENTS, CALLS, CALLS)
    command = ["node", "--input-type=module", "--eval", program]
    done = subprocess.run(command, input=body, capture_output=True, text=True, check=True)
    return float(re.search(r"[\d.]+", done.stdout)[0])
