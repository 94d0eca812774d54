"""When days, weeks and months of money begin and end: in UTC."""

from datetime import UTC, date, datetime, time, timedelta

from groundwork.budgets import Period


def begins(period: Period, at: datetime) -> date:
    """The first day of the period that `at` is in."""
    day = at.astimezone(UTC).date()
    if period == "weekly":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if period == "monthly" else day


def resets_at(period: Period, at: datetime) -> datetime:
    """When the next one begins."""
    return datetime.combine(following(period, begins(period, at)), time(), UTC)


def following(period: Period, first: date) -> date:
    """The first day of the next one."""
    if period == "monthly":
        return (first + timedelta(days=32)).replace(day=1)
    return first + timedelta(days=7 if period == "weekly" else 1)
