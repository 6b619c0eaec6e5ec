"""When the served study runs: a cron line and the time zone that it is read in."""

import os

import tzlocal
from prefect.client.schemas.schedules import CronSchedule
from pydantic import ValidationError

from reanchor.errors import ReanchorError


def nightly_schedule(cron: str, timezone: str | None) -> CronSchedule:
    """The schedule of `cron` ("0 2 * * *": at two) in `timezone` ("Europe/Berlin"; None: this machine's).

    Raises:
        ReanchorError: either cannot be read.
    """
    zone = timezone or machine_timezone()
    try:
        return CronSchedule(cron=cron, timezone=zone)
    except ValidationError as error:
        if error.errors()[0]["loc"][0] == "timezone":
            raise ReanchorError(f"--timezone: got {zone!r}, which is no time zone; allowed: a name such as "
                                "Europe/Berlin, Asia/Tokyo or UTC") from error
        raise ReanchorError(f"--cron: got {cron!r}, which is no cron line; allowed: minute, hour, day of month, month "
                            "and day of week, such as '0 2 * * *' (every day at two)") from error


def machine_timezone() -> str:
    """The name of this machine's zone: TZ, else what /etc says.

    Raises:
        ReanchorError: it has no such name.
    """
    try:
        tzlocal.reload_localzone()  # it remembers the first answer
        return tzlocal.get_localzone_name() or "UTC"
    except (LookupError, ValueError) as error:
        given = f"TZ: got {os.environ['TZ']!r}" if os.environ.get("TZ") else "this machine's time zone"
        raise ReanchorError(f"{given}, which names no time zone; allowed: a name such as Europe/Berlin; say it with "
                            "--timezone") from error
