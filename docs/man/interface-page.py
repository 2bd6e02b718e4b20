#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Writes org.jobmill1(5), in scdoc's plain text, from the interfaces' XML and the comments in it:

    interface-page.py TEXT.scd INTERFACE.xml...

The interfaces stand where TEXT has @INTERFACES@. A comment that stands before a member is about it: it begins with the member's name, says what each @argument is,
and then the rest in paragraphs; what is indented is a dictionary, its keys between "·". The one before an interface is about all of it, and
"==== Read ====" begins a section. tests/lint/check-introspection.py sees to it that no member and no argument is without words.
"""

import pathlib
import re
import sys
import textwrap
import xml.etree.ElementTree as ElementTree

TYPE = r"(?:a*(?:[ybnqiuxtdsogvh]|\{[^}]*\}|\([^)]*\)))"


def escape(text):
    return re.sub(r"^([-#|\[\].+:])", r"\\\1", re.sub(r"([\\*_])", r"\\\1", text))


def key(text):
    """An entry of a dictionary: its names, their type, what is said of them."""
    m = re.fullmatch(rf"((?:[a-z]\w* )+?)({TYPE}(?: or {TYPE})?)(?=[\s,.:]|$)(.*)", text)
    if not m:
        return escape(text)
    return f"*{'* *'.join(map(escape, m[1].split()))}* {escape(m[2])}{escape(m[3]) if m[3][:1] != ':' else m[3]}"


def paragraphs(text):
    """Text of the page. Lines that belong together, by their indentation."""
    for block in re.split(r"\n\s*\n", textwrap.dedent(text).strip("\n")):
        for chunk in re.findall(r"(?:^(?=\S).*\n?)+|(?:^\s+.*\n?)+", block, flags=re.M):
            words = " ".join(chunk.split())
            if chunk[0].isspace() and " · " in words:
                yield "".join(f"- {key(k)}\n" for k in words.split(" · "))
                continue
            # Who may, and what can go wrong, is found at a glance.
            for part in re.split(r"(?<=\.) (?=(?:Who|Who and errors|Errors): )", words):
                label, colon, rest = part.partition(": ")
                yield (f"*{label}:* {escape(rest)}" if colon and label in ("Who", "Who and errors", "Errors") else escape(part)) + "\n"


def without_name(comment, name):
    """What a comment says behind "NAME:"; its other lines keep how far they are indented."""
    return textwrap.dedent(comment.replace("\t", " " * 8)).strip("\n").removeprefix(f"{name}:").lstrip(" ")


def arguments(text):
    """(the text of each by its name, what follows them)"""
    said = {}
    while m := re.match(r"\s*@(\w+): ((?:.|\n(?= *[^\s@]))*)", text):
        said[m[1]] = " ".join(m[2].split())
        text = text[m.end():]
    return said, text


def signature(member):
    default = "in" if member.tag == "method" else None
    return ", ".join(" ".join(filter(None, (a.get("direction", default), a.get("type"), escape(a.get("name"))))) for a in member.findall("arg"))


def property_text(member, text):
    changes = [a.get("value") for a in member.findall("annotation") if a.get("name").endswith("EmitsChangedSignal")]
    told = {"const": " It never changes.", "false": ""}[changes[0]] if changes else " PropertiesChanged tells of its changes."
    words = " ".join(text.split())
    yield f"*{member.get('name')}* ({member.get('type')})\n\t{escape(words.rstrip('.'))}.{told}\n"


def member_text(member, text):
    yield f"## {member.get('name')}\n"
    yield f"{member.tag} *{member.get('name')}*({signature(member)})\n"
    said, rest = arguments(text)
    for name, words in said.items():
        yield f"*{escape(name)}*\n\t{escape(words)}\n"
    yield from paragraphs(rest)


def interface_text(path):
    parser = ElementTree.XMLParser(target=ElementTree.TreeBuilder(insert_comments=True))
    node = ElementTree.fromstring(path.read_text(), parser=parser)
    interface = node.find("interface")
    name = interface.get("name")
    about = [c.text for c in node if c.tag is ElementTree.Comment][-1]
    yield f"# THE INTERFACE {name.upper()}\n"
    yield from paragraphs(without_name(about, name))
    comment = ""
    for member in interface:
        if member.tag is ElementTree.Comment:
            comment = member.text
            if title := re.fullmatch(r"\s*=+ (.*) =+\s*", comment):
                yield f"# {title[1].upper()}\n"
            continue
        text = without_name(comment, member.get("name"))
        yield from (property_text if member.tag == "property" else member_text)(member, text)


page = pathlib.Path(sys.argv[1]).read_text()
print(page.replace("@INTERFACES@\n", "\n".join(text for name in sys.argv[2:] for text in interface_text(pathlib.Path(name)))), end="")
