"""Records byte pair encodings of a plain program that recounts everything at each step, for tests/library/text.dl.

    python tests/library/record_text.py
"""

import json
import unicodedata
from collections import Counter
from pathlib import Path

CORPUS = """The quick brown fox jumps over the lazy dog; the dog, at 12:30, jumps over the fox.
"Quick, quick!" said the fox -- 1234567 times, in 2026.  Naïve café, ça va? Привет, мир! 日本語 and 😀😀.
the lazy lazy lazy dog lowers the lowest of the low""" * 2
OTHER = "The lowest café of 2027 \u2014 Привет 😀! \tthe  laziest"


def kind(c):
    if c.lower() != c.upper() or ord(c) >= 0x2E80:
        return 0
    return 1 if c in "0123456789" else 2


def words(text):
    out = []
    for i, piece in enumerate(text.split(" ")):
        if i:
            piece = " " + piece
        start = 0
        for j in range(1, len(piece)):
            if piece[start:j] != " " and kind(piece[j]) != kind(piece[j - 1]):
                out.append(piece[start:j])
                start = j
        if piece:
            out.append(piece[start:])
    return [list(w.encode()) for w in out]


def merge(word, pair, token):
    out, i = [], 0
    while i < len(word):
        if tuple(word[i : i + 2]) == pair:
            out.append(token)
            i += 2
        else:
            out.append(word[i])
            i += 1
    return out


def train(text, size):
    corpus, merges = words(text), []
    while len(merges) < size - 256:
        counts = Counter(p for w in corpus for p in zip(w, w[1:]))
        pair, count = min(counts.items(), key=lambda e: (-e[1], e[0]))
        if count < 2:
            break
        corpus = [merge(w, pair, 256 + len(merges)) for w in corpus]
        merges.append(pair)
    return merges


def encode(text, merges):
    corpus = words(text)
    for i, pair in enumerate(merges):
        corpus = [merge(w, pair, 256 + i) for w in corpus]
    return [t for w in corpus for t in w]


def plain_words(text):
    return [w for w in (bytes(run).decode().strip() for run in words(text.lower())) if w]


def vocabulary(text, size):
    counts = Counter(plain_words(text))
    return ["<unknown>"] + sorted(counts, key=lambda w: (-counts[w], w))[: size - 1]


assert unicodedata.normalize("NFC", CORPUS) == CORPUS
merges = train(CORPUS, 330)
recording = {
    "corpus": CORPUS,
    "other": OTHER,
    "merges": merges,
    "all_merges": len(train(CORPUS, 5000)),
    "corpus_tokens": encode(CORPUS, merges),
    "other_tokens": encode(OTHER, merges),
    "words": plain_words(CORPUS),
    "vocabulary": vocabulary(CORPUS, 25),
    "other_words": [v.index(w) if w in v else 0 for v in [vocabulary(CORPUS, 25)] for w in plain_words(OTHER)],
    "pairs": Counter(" ".join(p) for p in zip(plain_words(CORPUS), plain_words(CORPUS)[1:])),
    "bytes": list(OTHER.encode()),
    "broken": list(b"a\xff\xe2\x82b\xf0\x9f\x98\x80\xc3\xed\xa0\x80\xc0\x80"),
    "mended": b"a\xff\xe2\x82b\xf0\x9f\x98\x80\xc3\xed\xa0\x80\xc0\x80".decode(errors="replace"),
}
(Path(__file__).parent / "text.json").write_text(json.dumps(recording) + "\n")
