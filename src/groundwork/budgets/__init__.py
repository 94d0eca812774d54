"""What paid models may cost: limits for each user and period, money reserved before and settled after, and the ledger.

Nothing is spent past this part: `answer.generate`, the one door to language models, reserves and settles every request.
"""

from typing import Literal

Period = Literal["daily", "weekly", "monthly"]

PERIODS: tuple[Period, ...] = ("daily", "weekly", "monthly")
"""Days, weeks from Monday, calendar months; all in UTC."""
