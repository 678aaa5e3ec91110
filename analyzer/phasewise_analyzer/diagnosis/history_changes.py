"""Find what happened to a history: messages removed, inserted, moved, replaced or summarised."""

import re
from collections.abc import Sequence

from phasewise_analyzer.diagnosis import causes, forms
from phasewise_analyzer.diagnosis.alignment import Alignment
from phasewise_analyzer.diagnosis.causes import Cause
from phasewise_analyzer.diagnosis.content_changes import (
    compare,
    first_place,
    is_result,
    same_message,
)
from phasewise_analyzer.diagnosis.finding import Finding, shown
from phasewise_analyzer.diagnosis.parts import Part, dumped, text_of
from phasewise_analyzer.diagnosis.retrieved import are_documents

_SUMMARY = re.compile(
    r"summar|compact|continued from|condens|recap|so far|(?:previous|earlier|prior) (?:conversation"
    r"|context|session|discussion|turns|work)|checkpoint|hand-?off|progress (?:notes|report)"
    r"|zusammenfass|zusammengefasst|bisher|résum|resum[eoi]|riassunt|sommaire|samenvatting|streszcz"
    r"|摘要|总结|總結|要約|まとめ|요약|сводк|кратко",
    re.IGNORECASE,
)
_NOTICE = re.compile(
    r"omit|truncat|remov|trimm|drop|elid|cut|earlier messages|no longer|hidden|\.\.\.|…"
    r"|entfernt|gekürzt|eliminad|supprim|省略|删除",
    re.IGNORECASE,
)
SUMMARY_CHARACTERS = 120
"""that a summary has at least"""
NOTICE_CHARACTERS = 250
"""that a notice of what was cut has at most"""
SUMMARY_OVERLAP = 0.6
"""share of a summary's longer words that what it replaces has, too"""
COPIED_SHARE = 0.6
"""of the old tokens that stand in the new prompt in another form: it is a copy"""
_SHORTEST_COPY = 20
_LONG_WORD = re.compile(r"[\w./-]{6,}")
_WHOLE = frozenset(
    {
        *(causes.KEY_ORDER, causes.WHITESPACE, causes.REWRITTEN, causes.RE_RENDERED),
        causes.ROLE_CHANGED,
    }
)
"""causes under which nothing was said differently: no likeness needs to be asked for"""


def of_history(aligned: Alignment) -> Finding:
    """Judge two histories from the place on where they part."""
    before, after = aligned.old[0], aligned.new[0]
    if is_reordered(aligned):
        return Finding(causes.REORDERED, _shown(before), _shown(after))
    gone, come = aligned.first_gap
    if not come:
        return Finding(_of_removal(gone), _shown(before), "")
    if not gone:
        documents = are_documents("", _text(after))
        return Finding(causes.RETRIEVED if documents else causes.INSERTED, "", _shown(after))
    return _of_replacement(aligned, gone, come)


def is_reordered(aligned: Alignment) -> bool:
    """Return whether segments changed places rather than came or went."""
    if aligned.common == len(aligned.kept):
        return False
    if aligned.common == len(aligned.old):
        return True
    olds, news = ({part.key for part in side} for side in (aligned.old, aligned.new))
    return aligned.old[0].key in news and aligned.new[0].key in olds


def is_copied(aligned: Alignment) -> bool:
    """Return whether most of the old texts stand in the new prompt, in another form or role."""
    news = {part.key for part in aligned.new}
    texts = [(part, _text(part)) for part in aligned.old if part.key not in news]
    long = [(part, text) for part, text in texts if len(text) >= _SHORTEST_COPY]
    if len(long) < 2:
        return False
    total = sum(part.segment.tokens for part, _ in long)
    whole = "\n".join(map(_text, aligned.new[:8]))
    copied = [part for part, text in long if text in whole]
    return len(copied) >= 2 and sum(part.segment.tokens for part in copied) >= COPIED_SHARE * total


def _of_removal(gone: Sequence[Part]) -> Cause:
    values = [part.value for part in gone]
    if all(map(forms.is_reasoning, values)):
        return causes.THINKING_STRIPPED
    if all(map(is_result, values)):
        return causes.RESULT_CLEARED
    return causes.HISTORY_CUT


def _of_replacement(aligned: Alignment, gone: Sequence[Part], come: Sequence[Part]) -> Finding:
    one, two = gone[0].value, come[0].value
    found = compare(one, two)
    if found is not None and (found.cause in _WHOLE or same_message(one, two, found.cause)):
        return found
    retold = _retold(aligned, gone, come)
    # an edit after which the rest is gone, too, was a person's who went back
    went_back = not aligned.kept and len(come) < len(gone)
    edited = not went_back and same_message(one, two, causes.HISTORY_EDITED)
    if retold is None and edited:
        return first_place(one, two)
    if retold is None and found is not None and found.cause is causes.RETRIEVED:
        return found
    cause = retold or _of_unlike(aligned, gone, come)
    return Finding(cause, _shown(gone[0]), _shown(come[0]))


def _retold(aligned: Alignment, gone: Sequence[Part], come: Sequence[Part]) -> Cause | None:
    """See whether one message tells what several said: in full, or in short."""
    if is_copied(aligned):
        return causes.FORKED
    return causes.COMPACTION if _is_summary(come[0], gone, come) else None


def _of_unlike(aligned: Alignment, gone: Sequence[Part], come: Sequence[Part]) -> Cause:
    """Judge a stretch whose first message is no edit of what stood there."""
    if _skips_reasoning(gone, come):
        return causes.THINKING_STRIPPED
    if not aligned.kept:
        return causes.REWOUND
    if len(come) >= len(gone):
        return causes.HISTORY_EDITED
    text = _text(come[0])
    if len(text) <= NOTICE_CHARACTERS and _NOTICE.search(text):
        return causes.HISTORY_CUT
    return causes.COMPACTION


def _is_summary(after: Part, gone: Sequence[Part], come: Sequence[Part]) -> bool:
    """Return whether one message tells in short what several said."""
    text = text_of(after.value)
    told_by_model = after.segment.role in ("assistant", "model")
    if len(gone) < 2 or len(text) < SUMMARY_CHARACTERS or told_by_model:
        return False
    if sum(part.segment.tokens for part in gone) < after.segment.tokens:
        return False
    if len(come) > len(gone):
        return False
    if _SUMMARY.search(text[:400]):
        return True
    told = set(_LONG_WORD.findall(text))
    known = {word for part in gone for word in _LONG_WORD.findall(_text(part))}
    return len(text) >= 300 and len(told & known) >= SUMMARY_OVERLAP * len(told)


def _skips_reasoning(gone: Sequence[Part], come: Sequence[Part]) -> bool:
    """Return whether what stands there now is what came after reasoning that is gone."""
    if not forms.is_reasoning(gone[0].value):
        return False
    rest = next((part for part in gone if not forms.is_reasoning(part.value)), None)
    return rest is not None and same_message(rest.value, come[0].value, causes.HISTORY_EDITED)


def _text(part: Part) -> str:
    value = part.value
    return text_of(value) or (value if isinstance(value, str) else dumped(value).decode())


def _shown(part: Part) -> str:
    return shown(_text(part)) if part.known else ""
