"""Recognise dates and times in a line of text, in common formats and languages."""

import re
from collections.abc import Iterable

_MONTHS = (
    "january february march april may june july august september october november december "
    "januar februar märz mai juni juli oktober dezember jänner "
    "janvier février mars avril juin juillet août septembre octobre novembre décembre "
    "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre "
    "gennaio febbraio aprile maggio giugno luglio settembre ottobre dicembre "
    "janeiro fevereiro março maio junho julho setembro outubro novembro dezembro "
    "januari februari maart mei augustus stycznia lutego marca kwietnia maja czerwca lipca "
    "sierpnia września października listopada grudnia "
    "января февраля марта апреля мая июня июля августа сентября октября ноября декабря "
    "jan feb mar apr jun jul aug sep sept oct okt nov dec dez"
)
_WEEKDAYS = (
    "monday tuesday wednesday thursday friday saturday sunday mon tue tues wed thu thur thurs fri "
    "sat sun montag dienstag mittwoch donnerstag freitag samstag sonnabend sonntag "
    "lundi mardi mercredi jeudi vendredi samedi dimanche "
    "lunes martes miércoles jueves viernes sábado domingo "
    "lunedì martedì mercoledì giovedì venerdì sabato domenica "
    "segunda terça quarta quinta sexta feira "
    "maandag dinsdag woensdag donderdag vrijdag zaterdag zondag "
    "poniedziałek wtorek środa czwartek piątek sobota niedziela "
    "понедельник вторник среда четверг пятница суббота воскресенье "
    "morning noon afternoon evening night midnight today tonight"
)


def _one_of(words: str) -> str:
    return "(?:" + "|".join(sorted(words.split(), key=len, reverse=True)) + ")"


_MONTH = _one_of(_MONTHS) + r"\b\.?"
_DAY = r"\d{1,2}(?:st|nd|rd|th|er|º|ª|\.)?"
_NAMED = re.compile(
    rf"\b{_one_of(_WEEKDAYS)}\b|[月火水木金土日]曜日?|(?:星期|周|週)[一二三四五六日天]|[월화수목금토일]요일",
    re.IGNORECASE,
)
_PATTERNS = (
    _NAMED,
    re.compile(r"(?<!\d)\d{4}[-/.]\d{1,2}[-/.]\d{1,2}(?:[T _]\d{1,2}(?:[:h]?\d{2})*)?"),
    re.compile(r"(?<![\d./-])\d{1,2}([./-])\d{1,2}\1(?:\d{4}|\d{2})(?![\d])"),
    re.compile(
        r"(?<![\d:])\d{1,2}:\d{2}(?::\d{2})?(?:[.,]\d+)?(?:\s?[ap]\.?m\b\.?)?"
        r"(?:\s?(?:Z|UTC|GMT|[A-Z]{2,4}T)\b)?(?:\s?[+-]\d{2}:?\d{2})?(?![\d:])",
        re.IGNORECASE,
    ),
    re.compile(r"(?<!\d)\d{1,2}\s?(?:[ap]\.?m\b\.?|h\d{2}|uhr\b|o'clock\b)", re.IGNORECASE),
    re.compile(r"(?<!\d)\d{1,2}\.\d{2}\s?uhr", re.IGNORECASE),
    re.compile(
        r"(?<!\d)(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:T?\d{4,6}Z?)?(?!\d)"
    ),
    re.compile(r"(?<![\d.\w])1[4-9]\d{8}(?:\d{3}|\d{6})?(?:\.\d+)?(?![\d\w])"),
    re.compile(
        rf"\b{_DAY}\s?(?:de\s|of\s|d['\u2019])?-?{_MONTH}(?:\s|-|,|de|del)*(?:\d{{4}}|['\u2019]\d{{2}})?",
        re.IGNORECASE,
    ),
    re.compile(rf"\b{_MONTH}[\s-]{{0,2}}{_DAY}\b(?:,?\s*\d{{4}})?", re.IGNORECASE),
    re.compile(rf"\b{_MONTH},?\s*(?:de\s)?\d{{4}}\b", re.IGNORECASE),
    re.compile(r"(?<!\d)(?:19|20)\d{2}\. ?\d{1,2}\. ?\d{1,2}\b\.?"),
    re.compile(rf"\b\d{{1,2}}{_one_of(_MONTHS)}\d{{2,4}}\b", re.IGNORECASE),
    re.compile(r"(?<!\d)(?:19|20)\d{2}-[0-3]\d{2}(?:T\d{2}:?\d{2}(?::?\d{2})?Z?)?(?![\d-])"),
    # a month in a language that is not listed, or written short
    re.compile(r"\b\d{1,2}\.? (?:de |of )?[^\W\d_]{3,14}\.?,? (?:de )?(?:19|20)\d{2}\b"),
    re.compile(r"\b(?:19|20)\d{2}\.? [^\W\d_]{3,14} \d{1,2}\b\.?"),
    re.compile(r"\b\d{4}-?W\d{2}(?:-?\d)?\b|\bQ[1-4][ /-]\d{4}\b|\b\d{4}[ /-]?Q[1-4]\b"),
    re.compile(r"\d{1,4}\s?[年月日号時时点분분초시년월일分秒]"),
    re.compile(r"[Tt]?\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:Z|[+-]\d{2}:?\d{2})?"),
    re.compile(r"\b[A-Z]{3,4}\b(?=\s*$|\s+\d{4})|\b(?:UTC|GMT)[+-]?\d*"),
)
_JOINING = re.compile(
    r"\b(?:at|on|of|the|um|den|der|à|le|de|del|las|a|alle|ore|om|kl|klo|o|в|и)\b", re.IGNORECASE
)
"""between the parts of a date; they say nothing by themselves"""
NEAR_CHARACTERS = 8
"""between a bare number and the day or month that it is written with"""


def covers(line: str, start: int, end: int) -> bool:
    """Return whether all letters and digits of a stretch of a line belong to dates and times."""
    marked = _marked(line, _PATTERNS)
    joining = _marked(line, (_JOINING,))
    seen = False
    for place in range(start, end):
        if not line[place].isalnum() or joining[place]:
            continue
        if not marked[place] and not (line[place].isdigit() and _is_near(line, marked, place)):
            return False
        seen = True
    return seen


def _marked(line: str, patterns: Iterable[re.Pattern[str]]) -> bytearray:
    marked = bytearray(len(line))
    for pattern in patterns:
        for found in pattern.finditer(line):
            marked[found.start() : found.end()] = b"\1" * (found.end() - found.start())
    return marked


def _is_near(line: str, marked: bytearray, place: int) -> bool:
    """Return whether nothing but signs stands between a number and what is marked."""
    for step in (-1, 1):
        at = place
        while 0 <= at < len(line) and not marked[at] and not line[at].isalpha():
            at += step
        if 0 <= at < len(line) and marked[at] and abs(at - place) <= NEAR_CHARACTERS:
            return True
    return False
