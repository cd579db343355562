# ruff: noqa
# %%
import collections
import random
import re

text = """
The sea was calm in the morning and the boats went out. By noon the wind had come up,
and the boats came back one after the other, the small ones first. In the evening the sea
was calm again; the nets were dry, and nobody had caught anything but the wind.
"""
word = re.compile(r"[a-z]+")
words = word.findall(text.lower())
len(words), words[:4]
# %%
counts = collections.Counter(words)
counts.most_common(3)
# %% who follows whom
follows = collections.defaultdict(list)
for one, two in zip(words, words[1:]):
    follows[one].append(two)
len(follows), follows["sea"]
# %%
random.seed(42)


def babble(start, n):
    said = [start]
    while len(said) < n and follows[said[-1]]:
        said.append(random.choice(follows[said[-1]]))
    return " ".join(said)


babble("the", 9)
# %% goes on with the same stream of random numbers
babble("boats", 9)
# %%
index = {}
for place, each in enumerate(words):
    index.setdefault(each[0], {}).setdefault(each, []).append(place)
sorted(index["w"])
# %% an entry of the index, changed under another name
entry = index["w"]["was"]
entry.append(-1)
index["w"]["was"]
# %%
stop = frozenset("the and in by".split())
kept = [w for w in words if w not in stop]
lines = iter(text.strip().splitlines())
next(lines)
# %% the iterator goes on
print(next(lines)[:12])
counts.subtract(kept)
min(counts.items(), key=lambda pair: (pair[1], pair[0]))
# %%
longest = max(set(kept), key=lambda w: (len(w), w))
match = word.search(longest)
f"{longest!r} has {len(longest)} letters", word.pattern
