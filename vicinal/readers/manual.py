"""Man pages become plain text: enough of roff (the man and mdoc macros) to read and to search them."""

from __future__ import annotations

import re
from collections.abc import Iterator

# Macros whose arguments are text in one or two fonts; those of two set them without a blank between.
_FONTS = frozenset(("B", "I", "SM", "SB", "R", "CW"))
_PAIRS = frozenset(("BR", "BI", "RB", "RI", "IB", "IR"))
_BREAKS = frozenset(
    [
        "PP",
        "P",
        "LP",
        "HP",
        "TP",
        "TQ",
        "IP",
        "SY",
        "YS",
        "RS",
        "RE",
        "br",
        "sp",
        "bp",
        "Pp",
        "It",
        "Bl",
        "El",
        "Bd",
    ]
)
_PARAGRAPHS = frozenset(["PP", "P", "LP", "HP", "TP", "IP", "SY", "sp", "Pp", "It"])
# Before a piece of text: it begins a line.
_BREAK = "\v"
_HEADINGS = frozenset(("SH", "SS", "Sh", "Ss"))
# Definitions run to a line with "..", tables and pictures to their end.
_SKIPPED = {"de": "..", "de1": "..", "am": "..", "ig": "..", "EQ": ".EN", "PS": ".PE"}
# Inline macros of mdoc: the marks around their arguments.
_MDOC = {
    "Fl": ("-", ""), "Op": ("[", "]"), "Oo": ("[", ""), "Oc": ("", "]"), "Aq": ("<", ">"), "Dq": ('"', '"'),
    "Sq": ("'", "'"), "Pq": ("(", ")"), "Qq": ('"', '"'), "Bq": ("[", "]"), "Brq": ("{", "}"), "Ql": ("'", "'"),
}  # fmt: skip
_MDOC_PLAIN = frozenset(
    [
        "Ar",
        "Cm",
        "Nm",
        "Pa",
        "Ev",
        "Em",
        "Sy",
        "Li",
        "Dv",
        "Va",
        "Vt",
        "Fn",
        "Fa",
        "Fo",
        "Fc",
        "Ft",
        "In",
        "Xr",
        "Ic",
        "An",
        "Aq",
        "Tn",
        "Ux",
        "Bx",
        "Fx",
        "Nx",
        "Ox",
        "Dx",
        "At",
        "St",
        "Lk",
        "Mt",
        "Er",
        "Cd",
        "Ad",
        "Ao",
        "Ac",
        "No",
        "Ns",
        "Ap",
        "Pf",
        "D1",
        "Dl",
        "Do",
        "Dc",
        "So",
        "Sc",
        "Po",
        "Pc",
        "Qo",
        "Qc",
        "Bo",
        "Bc",
        "Bro",
        "Brc",
        "Eo",
        "Ec",
        "Sx",
        "Nd",
        "Xo",
        "Xc",
        "Rv",
        "Ex",
        "Lb",
        "Rs",
        "Re",
        "%A",
        "%B",
        "%C",
        "%D",
        "%I",
        "%J",
        "%N",
        "%O",
        "%P",
        "%Q",
        "%R",
        "%T",
        "%U",
        "%V",
        "Tg",
    ]
)
_NAMED = {
    "aq": "'", "cq": "'", "oq": "'", "dq": '"', "lq": '"', "rq": '"', "em": "—", "en": "–", "hy": "-",
    "bu": "•", "ha": "^", "ti": "~", "rs": "\\", "co": "©", "rg": "®", "tm": "™", "ga": "`", "mu": "×",
    "->": "→", "<-": "←", "<=": "≤", ">=": "≥", "+-": "±", "sl": "/", "ba": "|", "at": "@", "sh": "#",
    "Do": "$", "lB": "[", "rB": "]", "lC": "{", "rC": "}", "la": "⟨", "ra": "⟩", "ss": "ß", "o:": "ö",
    "u:": "ü", "a:": "ä", "O:": "Ö", "U:": "Ü", "A:": "Ä", "'e": "é", "`e": "è", "'a": "á", "'o": "ó",
    "'i": "í", "'u": "ú", ",c": "ç", "/o": "ø", "oa": "å", "~n": "ñ", "de": "°", "sc": "§", "pl": "+",
    "mi": "−",
}  # fmt: skip
_STRINGS = {
    "lq": '"', "rq": '"', "L\"": '"', "R\"": '"', "C`": '"', "C'": '"', "Tm": "™", "R": "®", "aq": "'",
    "--": "—", "-": "-",
}  # fmt: skip
_ESCAPE = re.compile(
    r"""\\(?:
        (?P<comment>["\#].*)
      | f(?:\(..|\[[^\]]*\]|.)
      | s(?:[-+]?\d{1,2}|[-+]?\([-+]?..|[-+]?\[[^\]]*\]|[-+]?'[^']*')
      | \((?P<two>..)
      | \[(?P<named>[^\]]*)\]
      | \*(?:\((?P<string>..)|\[(?P<longer>[^\]]*)\]|(?P<short>.))
      | [ABCDHLNRSXZbhlovwx]'[^']*'
      | [kmnFgMVY](?:\(..|\[[^\]]*\]|[-+]?.)
      | (?P<one>.)
      | $
    )""",
    re.VERBOSE,
)
_ONE = {
    "-": "-",
    " ": " ",
    "~": " ",
    "0": " ",
    "e": "\\",
    "\\": "\\",
    "'": "'",
    "`": "`",
    ".": ".",
    "t": "\t",
    "E": "\\",
    "_": "_",
}
_WORD = re.compile(r'"((?:[^"]|"")*)"|(\S+)')
_CLOSING = re.compile(r"[,.;:)\]](\s|$)")
_TITLE = re.compile(r"[.']\s*(?:TH|Dt)\s+(.*)")


def manual_text(raw: str) -> tuple[str, str]:
    """Text and title of a man page; lines of one paragraph are joined, unless the page sets them as they are.

    Args:
        raw: the page as roff, with the macros of man or of mdoc.

    Returns:
        The text, its paragraphs apart by empty lines; and the title, such as ``ls(1)``. A page that only stands for
        another one (``.so man1/x.1``) has no text.
    """
    raw = raw.replace("\r\n", "\n").replace("\\\n", "")
    found = next(filter(None, map(_TITLE.match, raw.split("\n"))), None)
    words = [] if found is None else _arguments(found.group(1))
    title = f"{words[0].lower()}({words[1]})" if len(words) > 1 else "".join(words[:1]).lower()
    parts = ["\n"]
    for line in _lines(raw):
        if not line:
            parts.append("\n\n")
        elif line.startswith(_BREAK):
            parts.append(f"\n{line[1:]}")
        else:
            joined = parts[-1][-1:] in ("\n", " ") or _CLOSING.match(line)
            parts.append(line.strip() if joined else f" {line.strip()}")
    text = re.sub(r"[ \t]+(?=\n)", "", "".join(parts))
    return re.sub(r"\n{3,}", "\n\n", text).strip(), title


def _lines(raw: str) -> Iterator[str]:
    """Pieces of text: "" parts paragraphs, and what begins with a break stands on a line of its own."""
    until = name = ""
    filled = True
    for line in raw.split("\n"):
        if until:
            if "".join(line.split()) == until:
                until = ""
            continue
        if line[:1] not in (".", "'"):
            plain = _plain(line)
            yield plain.strip() and plain if filled and line[:1] not in (" ", "\t") else _BREAK + plain
            continue
        macro, rest = _parted(line[1:])
        words = _arguments(rest)
        if macro in _SKIPPED:
            until = _SKIPPED[macro]
        elif macro in ("nf", "EX") or (macro == "Bd" and {"-literal", "-unfilled"} & set(words)):
            filled = False
            yield _BREAK
        elif macro in ("fi", "EE", "Ed"):
            filled = True
            yield ""
        elif macro in _HEADINGS:
            yield from ("", _BREAK + " ".join(words), _BREAK)
        elif macro == "Nm":
            name = name or "".join(words[:1])
            yield _mdoc(["Nm", *(words or [name])])
        elif macro in _BREAKS:
            yield "" if macro in _PARAGRAPHS else _BREAK
            if macro in ("It", "SY"):
                yield _mdoc(words)
            elif macro == "IP":
                yield "".join(words[:1])
        else:
            text = _inline(macro, words)
            if text:
                yield text if filled else _BREAK + text


def _inline(macro: str, words: list[str]) -> str:
    if macro in _FONTS or macro in ("UR", "MT", "OP"):
        return " ".join(words)
    if macro in _PAIRS:
        return "".join(words)
    return _mdoc([macro, *words]) if macro in _MDOC or macro in _MDOC_PLAIN else ""


def _parted(line: str) -> tuple[str, str]:
    line = line.lstrip()
    macro = re.match(r"[^\s\\]*", line)
    name = macro.group(0) if macro is not None else ""
    return name, line[len(name) :]


def _arguments(rest: str) -> list[str]:
    rest = re.sub(r'\\["#].*', "", rest)
    return [
        _plain((quoted if word == "" else word).replace('""', '"'))
        for quoted, word in (found.groups(default="") for found in _WORD.finditer(rest))
    ]


def _mdoc(words: list[str]) -> str:
    """A line of mdoc: macros among the words are called, marks stick to the word before them."""
    parts: list[str] = []
    closing: list[str] = []
    glue = False
    for word in words:
        before, after = _MDOC.get(word, ("", ""))
        if word in _MDOC or word in _MDOC_PLAIN:
            glue = glue or word in ("Ns", "Ap", "Pf")
            if after and word != "Oc":
                closing.append(after)
            if before or word == "Oc":
                parts.append(("" if glue else " ") + (before or after))
                glue = True if before else glue
            elif word == "Ap":
                parts.append("'")
            continue
        sticks = glue or word in (",", ".", ";", ":", ")", "]", "?", "!")
        parts.append(word if sticks else f" {word}")
        glue = word in ("(", "[")
    return "".join([*parts, *reversed(closing)]).strip()


def _plain(text: str) -> str:
    """Text without escapes."""

    def spelt(found: re.Match[str]) -> str:
        two = found["two"] or found["named"]
        if two is not None:
            return _letter(two)
        string = found["string"] or found["longer"] or found["short"]
        if string is not None:
            return _STRINGS.get(string, "")
        one = found["one"]
        return "" if one is None else _ONE.get(one, "" if one in "&%|^:/,)pcdruz{}!?" else one)

    return _ESCAPE.sub(spelt, text) if "\\" in text else text


def _letter(name: str) -> str:
    if (
        re.fullmatch(r"u[0-9A-Fa-f]{4,6}", name)
        and int(name[1:], 16) < 0x110000
        and not 0xD800 <= int(name[1:], 16) < 0xE000
    ):
        return chr(int(name[1:], 16))
    return _NAMED.get(name, "")
