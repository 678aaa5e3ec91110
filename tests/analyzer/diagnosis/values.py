"""Values that change from call to call, in the many ways in which programs write them.

Each maker gives two values of one form. They were listed from what programs print, not from what
the detectors know.
"""

import base64
import random
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Pair = tuple[str, str]

_MONTHS = {
    "en": "January February March April May June July August September October November December",
    "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "es": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre "
    "diciembre",
    "pt": "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro "
    "dezembro",
    "sv": "januari februari mars april maj juni juli augusti september oktober november december",
    "fi": "tammikuuta helmikuuta maaliskuuta huhtikuuta toukokuuta kesäkuuta heinäkuuta elokuuta "
    "syyskuuta lokakuuta marraskuuta joulukuuta",
    "cs": "ledna února března dubna května června července srpna září října listopadu prosince",
    "hu": "január február március április május június július augusztus szeptember október "
    "november december",
    "id": "Januari Februari Maret April Mei Juni Juli Agustus September Oktober November Desember",
    "ru": "января февраля марта апреля мая июня июля августа сентября октября ноября декабря",
}
_FORMATS = (
    "%Y-%m-%d",
    "%Y-%m-%dT%H:%M:%SZ",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S.%f+00:00",
    "%a %b %d %H:%M:%S UTC %Y",
    "%a, %d %b %Y %H:%M:%S GMT",
    "%A, %B %d, %Y",
    "%A, %d %B %Y at %I:%M %p",
    "%B %d, %Y",
    "%d/%m/%Y",
    "%m/%d/%y, %I:%M:%S %p",
    "%d.%m.%Y %H:%M",
    "%d.%m.%y",
    "%d-%b-%Y",
    "%d-%b-%Y %H:%M:%S",
    "%H:%M:%S",
    "%I:%M %p",
    "%H:%M",
    "%Y%m%d",
    "%Y%m%dT%H%M%SZ",
    "%Y/%m/%d %H:%M",
    "%Y年%m月%d日 %H时%M分",
    "%Y年%m月%d日",
    "%Y. %m. %d.",
    "%G-W%V-%u",
    "%b %d %Y",
    "%d %b %Y %H:%M UTC+2",
    "%c",
    "%A",
    "%B %Y",
    "%A morning",
    "%-I %p",
    "%-d %B",
    "%Hh%M",
    "%H.%M Uhr",
    "%Y-%jT%H:%MZ",
    "%d%b%y",
)


def moments(rng: random.Random) -> tuple[datetime, datetime]:
    """Give two moments, the second some seconds to months later."""
    first = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(seconds=rng.randint(0, 100_000_000))
    later = rng.choice([61, 300, 3_700, 50_000, 90_000, 400_000, 3_000_000])
    return first, first + timedelta(seconds=later + rng.randint(0, 59))


def clock(rng: random.Random) -> Pair:
    """Make two moments in one format."""
    kind = rng.random()
    for _ in range(50):
        pair = moments(rng)
        if kind < 0.6:
            form = rng.choice(_FORMATS)
            made = (pair[0].strftime(form), pair[1].strftime(form))
        elif kind < 0.85:
            made = _named(rng, *pair)
        else:
            made = _counted(rng, *pair)
        if made[0] != made[1]:
            return made
    raise AssertionError


def _named(rng: random.Random, *pair: datetime) -> Pair:
    months = _MONTHS[rng.choice(sorted(_MONTHS))].split()
    form = rng.choice(["{d}. {m} {y}", "{d} {m} {y}", "{d} {m} {y}, {t}", "{d} de {m} de {y}"])
    one, two = (
        form.format(d=at.day, m=months[at.month - 1], y=at.year, t=f"{at:%H:%M}") for at in pair
    )
    return one, two


def _counted(rng: random.Random, *pair: datetime) -> Pair:
    scale = rng.choice([1, 1_000])
    one, two = (str(int(at.timestamp() * scale)) for at in pair)
    return one, two


CLOCK_LINES = (
    "Local time: {} (Europe/Berlin)",
    "last_updated: {}",
    "Generated at {}",
    "Knowledge cutoff: long ago. Current date: {}",
    "Hora local: {}",
    "Current time: {}",
    "Current date and time: {}.",
    "Today is {}.",
    "Today's date: {}",
    "The current date is {}.",
    "Now: {}",
    "- Date: {}",
    "<date>{}</date>",
    '{{"now": "{}"}}',
    "**Timestamp:** {}",
    "Heute ist der {}.",
    "Datum: {}",
    "Fecha actual: {}",
    "date={}",
    "current_datetime: {}",
    "It is {} where the user is.",
    "As of {} the following holds.",
    "当前时间: {}",
)


def identity(rng: random.Random) -> Pair:
    """Make two ids of one form."""
    make = rng.choice(_IDENTITIES)
    return make(rng), make(rng)


def _letters(rng: random.Random, letters: str, count: int) -> str:
    return "".join(rng.choices(letters, k=count))


_LOWER = "abcdefghijklmnopqrstuvwxyz"
_ALNUM = _LOWER + _LOWER.upper() + "0123456789"
_ANIMALS = ("otter", "falcon", "badger", "heron", "lynx", "tapir", "marten", "puffin")
_MOODS = ("brave", "quiet", "swift", "golden", "misty", "sleepy", "clever", "proud")
_IDENTITIES: tuple[Callable[[random.Random], str], ...] = (
    lambda rng: str(uuid.UUID(int=rng.getrandbits(128), version=4)),
    lambda rng: uuid.UUID(int=rng.getrandbits(128), version=4).hex,
    lambda rng: "01J" + _letters(rng, "0123456789ABCDEFGHJKMNPQRSTVWXYZ", 23),
    lambda rng: _letters(rng, _ALNUM + "_-", 21),
    lambda rng: rng.randbytes(6).hex(),
    lambda rng: rng.randbytes(20).hex(),
    lambda rng: rng.randbytes(4).hex(),
    lambda rng: base64.b64encode(rng.randbytes(16)).decode(),
    lambda rng: base64.urlsafe_b64encode(rng.randbytes(12)).decode(),
    lambda rng: str(rng.randint(10**17, 10**18)),
    lambda rng: f"req_{_letters(rng, _ALNUM, 24)}",
    lambda rng: f"run-{_letters(rng, _LOWER + '0123456789', 8)}",
    lambda rng: f"{rng.choice(_MOODS)}-{rng.choice(_ANIMALS)}-{rng.randint(10, 9999)}",
    lambda rng: _letters(rng, _LOWER + "0123456789", 10),
    lambda rng: f"ses_{rng.randint(10**9, 10**10)}",
    lambda rng: f"{rng.choice(_MOODS)}_{rng.choice(_ANIMALS)}",
    lambda rng: "#" + rng.randbytes(3).hex(),
    lambda rng: f"{rng.randbytes(2).hex()}:{rng.randbytes(2).hex()}:{rng.randbytes(2).hex()}",
    lambda rng: f"0x{rng.randbytes(8).hex()}",
    lambda rng: "ey" + _letters(rng, _ALNUM + "-_", 60) + "." + _letters(rng, _ALNUM, 43),
    lambda rng: f"thread_{_letters(rng, _ALNUM, 16)}",
    lambda rng: f"{rng.randint(1, 9)}{_letters(rng, 'ABCDEFGHJKLMNPQRSTUVWXYZ0123456789', 7)}",
)
IDENTITY_LINES = (
    "Session id: {}",
    "session_id={}",
    "Request ID: {}",
    "<nonce>{}</nonce>",
    '{{"trace_id": "{}"}}',
    "Conversation: {}",
    "- Run: {}",
    "[request {}]",
    "correlation-id: {}",
    "Session `{}` was started for this task.",
    "Sitzung: {}",
    "X-Request-Id: {}",
    "build {}",
    "cache-buster: nonce {}",
    "thread id is {}",
)


def counter(rng: random.Random) -> Pair:
    """Make two numbers that count something."""
    start = rng.randint(2, 5_000)
    other = start + rng.choice([-1, 1, 7, 93, 1_204])
    form = rng.choice(
        [
            "{}",
            "{:,}",
            "{} of 9,000",
            "{}/9000",
            "{}%",
            "{}.5 %",
            "#{}",
            "${}.20",
            "{}k",
            "{} tokens",
        ]
    )
    return form.format(start), form.format(max(other, 0))


COUNTER_LINES = (
    "{} remaining",
    "messages: {}; tools: 4",
    "| calls | {} |",
    "You have used {} so far, be thrifty.",
    "Noch {} übrig",
    "Step {}",
    "Tokens left: {}",
    "Turns used so far: {}",
    "Remaining budget: {}",
    "<progress>{}</progress>",
    '{{"turn": "{}"}}',
    "Context used: {}",
    "Attempt {} in this conversation.",
    "You have {} left before you must stop.",
    "- open items: {}",
    "Verbleibend: {}",
    "retry_count={}",
)


def environment(rng: random.Random) -> Pair:
    """Make a line of an environment block, twice."""
    line, make = rng.choice(_ENVIRONMENTS)
    for _ in range(50):
        pair = (line.format(make(rng)), line.format(make(rng)))
        if pair[0] != pair[1]:
            return pair
    raise AssertionError


def _folder(rng: random.Random) -> str:
    return "/".join(_letters(rng, _LOWER, rng.randint(3, 9)) for _ in range(rng.randint(2, 4)))


def _windows(rng: random.Random) -> str:
    return "C:\\Users\\" + _folder(rng).replace("/", "\\")


def _host(rng: random.Random) -> str:
    return f"{rng.choice(['web', 'ip-10-0', 'build'])}-{rng.randint(1, 99)}.eu.internal"


def _branch(rng: random.Random) -> str:
    return rng.choice(
        ["main", "develop", f"fix/{rng.choice(_ANIMALS)}", f"{rng.choice(_MOODS)}-ui"]
    )


def _address(rng: random.Random) -> str:
    return ".".join(str(rng.randint(1, 254)) for _ in range(4))


_ENVIRONMENTS: tuple[tuple[str, Callable[[random.Random], str]], ...] = (
    ("Working directory: {}", lambda rng: f"/home/{_folder(rng)}"),
    ("<cwd>{}</cwd>", lambda rng: f"/Users/{_folder(rng)}"),
    ("cwd={}", lambda rng: f"/var/{_folder(rng)}"),
    ("Workspace is at {}.", lambda rng: f"/srv/{_folder(rng)}"),
    ("Arbeitsverzeichnis: {}", lambda rng: f"/opt/{_folder(rng)}"),
    ("Project root: {}", lambda rng: f"~/{_folder(rng)}"),
    ("Directory: {}", _windows),
    ('{{"cwd": "{}"}}', lambda rng: f"/data/{_folder(rng)}"),
    ("Hostname: {}", _host),
    ("You run on host {}.", _host),
    ("server: {}:8080", _host),
    ("IP address: {}", _address),
    ("Connected to {}", _address),
    ("Git branch: {}", _branch),
    ("Current branch: {}", _branch),
    ("Platform: {}", lambda rng: rng.choice(["linux", "darwin", "win32", "freebsd"])),
    ("OS Version: {}", lambda rng: rng.choice(["Linux 6.8.0", "Darwin 24.1.0", "Windows 11"])),
    ("Shell: {}", lambda rng: rng.choice(["bash", "zsh", "fish", "pwsh"])),
    ("Git status: {}", lambda rng: rng.choice(["clean", "M src/app.py", "?? notes.md", "2 ahead"])),
    ("Repository: {}", lambda rng: f"https://git.example.com/{_folder(rng)}"),
    ("Python version: {}", lambda rng: f"3.{rng.randint(9, 14)}.{rng.randint(0, 9)}"),
    ("- **Home**: `{}`", lambda rng: f"/home/{_letters(rng, _LOWER, 6)}"),
    ("export PATH={}", lambda rng: f"/usr/{_folder(rng)}:/bin"),
    ("Pod: {}", lambda rng: f"agent-{_letters(rng, _LOWER, 5)}-{rng.randbytes(2).hex()}"),
    ("UNC share {}", lambda rng: "\\\\server\\" + _folder(rng).replace("/", "\\")),
    ("Files:\n{}", lambda rng: f"./src/{_folder(rng)}.py"),
    ("Log file {} is open.", lambda rng: f"/var/log/{_folder(rng)}.log"),
)


def tenant(rng: random.Random) -> Pair:
    """Make a line about one user or customer, twice."""
    line, values = rng.choice(_TENANTS)
    one, two = rng.sample(values, 2)
    return line.format(one), line.format(two)


_PEOPLE = ("Ada Lovelace", "Jürgen Groß", "María Núñez", "王芳", "Kofi Mensah", "Li", "O'Neill")
_FIRMS = ("Acme GmbH", "Globex", "Initech Ltd", "Umbrella Bäckerei KG", "Hooli", "山田商店")
_TENANTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("User: {}", _PEOPLE),
    ("You are talking to {}.", _PEOPLE),
    ("You help {} with their daily work.", _PEOPLE),
    ("<customer>{}</customer>", _FIRMS),
    ("Company: {}", _FIRMS),
    ("You are the support agent of {}.", _FIRMS),
    ("tenant={}", ("acme", "globex", "initech", "hooli")),
    ("Kunde: {}", _FIRMS),
    ("The user's e-mail is {}.", ("ada@acme.example", "li@globex.example", "kofi@hooli.example")),
    ("Preferred language: {}", ("German", "English", "Portuguese", "Japanese")),
    ("Plan: {}", ("free", "team", "enterprise")),
    ("About the user: {}", ("likes short answers", "is a pilot and speaks Finnish", "new here")),
)
