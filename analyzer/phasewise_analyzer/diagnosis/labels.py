"""Words that label the value after them, in languages that prompts are often written in.

Used by `grammar.py`: `Sitzung: brave-otter` is an id because of its label, not of its form.
"""

import re


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


CLOCK = _words(
    "date time now today clock timestamp datetime ts year month day hour week weekday tomorrow "
    "yesterday datum uhrzeit zeit heute tag fecha hora hoy heure jour aujourd data ora oggi hoje "
    "dato tijd vandaag дата время сегодня 时间 日期 今天 日時 日付 時刻 今日 현재 날짜 시간"
)
IDENTITY = _words(
    "id ids uuid guid ulid nonce token session request req trace span run hash sha commit digest "
    "etag checksum conversation thread correlation cursor key ref reference salt seed build job "
    "ticket invocation execution fingerprint revision kennung sitzung anfrage sitzungs identifiant "
    "sesión sesion sessione identificador идентификатор сессия 会话 编号 セッション 세션"
)
ENVIRONMENT = _words(
    "cwd dir directory pwd path host hostname branch git platform os shell home workspace worktree "
    "env environment ip addr address server node machine repo repository kernel arch root folder "
    "pod region container port file files cluster endpoint url terminal editor runtime status "
    "interpreter version python "
    "verzeichnis ordner arbeitsverzeichnis rechner zweig zweige carpeta directorio "
    "rama equipo dossier répertoire branche машина каталог ветка хост 目录 主机 分支 ホスト "
    "ディレクトリ ブランチ"
)
PERSON = _words(
    "user username name customer client tenant company org organisation organization account team "
    "email mail member employee owner locale subscription kunde kundin nutzer benutzer firma "
    "mandant usuario cliente empresa nombre utilisateur société nom utente azienda gebruiker klant "
    "bedrijf пользователь клиент компания 用户 客户 公司 姓名 ユーザー 顧客 会社 "
    "사용자 회사"
)

_LABELLED = re.compile(
    r"([^\W\d_][\w .()/'-]{0,40}?)"
    r"[\"'`*_]*\s*(?:[:=\uff1a>]|->)\s*[\"'`#*_<(\[]*\s*[^:=\n]{0,60}$"
)
_SAID = re.compile(r"(?:^|[.!?] |- )([^\W\d_][\w'-]*(?: [\w'-]+){0,3}) is [\"'`#*_<(\[]*$")
_LAST_WORD = re.compile(r"([^\W\d_]+)[\"'`#*_(<\[ \-/]*$")
_WORD = re.compile(r"[^\W\d_]+")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")


def label_words(left: str) -> frozenset[str]:
    """Return the words of the label (`Session id:`) under which a value stands."""
    found = _LABELLED.search(left) or _SAID.search(left)
    return _lower(found[1]) if found else frozenset()


def last_word(left: str) -> frozenset[str]:
    """Return the word right before a value, label or not."""
    found = _LAST_WORD.search(left)
    return _lower(found[1]) if found else frozenset()


def _lower(words: str) -> frozenset[str]:
    found = set()
    for word in _WORD.findall(words):
        found.add(word.lower())
        if not word.isascii():
            # languages that write words together put the noun last
            found |= {word[-3:].lower(), word[-2:].lower()}
        found |= {part.lower() for part in _HUMP.split(word)}
    return frozenset(found)
