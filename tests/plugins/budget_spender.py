"""A process that spends money at once in many tasks, to be watched and killed.

python -m plugins.budget_spender URL ACCOUNT AMOUNT COST TIMES

Says `ready`; on a line of input reserves AMOUNT so many TIMES at once and says how many it was given; on the next settles
them one after the other at COST each, saying `settled` each time; ends with its input.
"""

import asyncio
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import groundwork
from groundwork.budgets.meter import Held
from groundwork.errors import OverBudget
from groundwork.settings.models import BudgetSettings
from plugins.budgets import charge, opened, settle

LIMIT = BudgetSettings(weekly_usd=Decimal("0.617283"))
_SOURCE = Path(groundwork.__file__).resolve().parent.parent


class Spender:
    """The process."""

    def __init__(self, url: str, account: str, amount: str, cost: str, times: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "plugins.budget_spender", url, account, amount, cost, str(times)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": f"{_SOURCE}:{Path(__file__).parent.parent}"},
        )

    def hears(self) -> str:
        """The next it says; waits for that."""
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def told(self) -> None:
        """Tells it to go on."""
        assert self.process.stdin
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def end(self, kill: bool = False) -> int:
        """Ends it, by `kill -9` if asked to; how many it had settled unheard."""
        if kill:
            self.process.kill()
        said, _ = self.process.communicate(timeout=60)
        return said.split().count("settled")


async def _listen() -> None:
    await asyncio.to_thread(sys.stdin.readline)


async def _spend(url: str, account: str, amount: str, cost: str, times: int) -> None:
    async with opened(url, settings=LIMIT) as (budgets, _):
        print("ready", flush=True)
        await _listen()
        asked = [budgets.reserve(charge(amount, account, seconds=1.0)) for _ in range(times)]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        held = [each for each in answers if isinstance(each, Held)]
        assert all(isinstance(each, Held | OverBudget) for each in answers), answers
        print(len(held), flush=True)
        await _listen()
        for each in held:
            await settle(budgets, each, cost)
            print("settled", flush=True)
        await _listen()


if __name__ == "__main__":
    asyncio.run(_spend(*sys.argv[1:5], times=int(sys.argv[5])))
