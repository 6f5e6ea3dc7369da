"""What buyers type, as words: without accents, capitals and signs; and which words are slips.

PostgreSQL's functions `bitloot_plain` and `bitloot_slip` say the same; tests hold them together.
"""

import re
import unicodedata
from typing import Final

# Words of titles that are so long are known by their neighbours; what is typed may lack a letter.
WORD_LENGTHS: Final = range(5, 41)
TYPED_LENGTHS: Final = range(4, 42)
# A word with a slip in it is read as so many words at the most, the first of the alphabet.
READ_AS_MAX: Final = 8
# Bytes of a word: PostgreSQL's index keeps none longer, and a search for one is an error there.
LONGEST_WORD: Final = 2046

_POWER_OF_TEN: Final = re.compile("[0-9]+e[0-9]+")
_MARKS: Final = re.compile("[\u0300-\u036f]")
# Signs that would make one word of two, and such as stand inside of one.
_SIGNS: Final = str.maketrans(dict.fromkeys("-._/@:&<>+~", " ") | dict.fromkeys("'\u2019"))


def plain_text(written: str) -> str:
    """The form in which texts are compared and sorted."""
    apart = unicodedata.normalize("NFKD", written.replace("\u2122", " "))
    lowered = "".join(letter.lower() for letter in _MARKS.sub("", apart))
    return lowered.translate(_SIGNS)


def words_of(written: str) -> tuple[str, ...]:
    """Every word of a text once, in its order; what is longer than `LONGEST_WORD` is none."""
    kept = "".join(each if _is_letter(each) else " " for each in plain_text(written))
    words = dict.fromkeys(part for word in kept.split() for part in _parts(word))
    return tuple(word for word in words if len(word.encode()) <= LONGEST_WORD)


def _parts(word: str) -> tuple[str, ...]:
    """PostgreSQL's parser takes what begins like `3e5` for a number, and the rest for a word."""
    number = _POWER_OF_TEN.match(word)
    if number is None or number.end() == len(word):
        return (word,)
    return number[0], word[number.end() :]


def _is_letter(each: str) -> bool:
    return each.isalnum() or unicodedata.category(each).startswith("M")


def is_slip(word: str, typed: str) -> bool:
    """Whether `typed` is `word` with one letter wrong, missing or doubled, or two swapped."""
    if abs(len(word) - len(typed)) > 1 or word == typed:
        return False
    shorter = min(len(word), len(typed))
    start = next((n for n in range(shorter) if word[n] != typed[n]), shorter)
    here, there = word[start:], typed[start:]
    is_swapped = here[:2] == there[:2][::-1] and here[2:] == there[2:]
    return is_swapped or here[1:] in {there, there[1:]} or here == there[1:]
