"""What characters say: sentences drawn from a small grammar, and some in other languages."""

from __future__ import annotations

import numpy as np

from readavatar.synthetic.sentences import SENTENCES
from readavatar.synthetic.sentences_abroad import SENTENCES_ABROAD

PEOPLE = (
    "the baker", "my neighbour", "a tall woman", "the old farmer", "her brother", "the young pilot",
    "our teacher", "somebody", "the judge", "Thomas", "Ruth", "a painter", "the whole team", "my father",
    "their cousin", "the guide", "nobody here", "a few people", "the chef", "the new mayor", "your aunt",
    "everyone upstairs", "the plumber", "Zoe", "a boy from Perth", "the author", "she", "he", "they", "the vet",
    "one of them", "the shopkeeper",
)  # fmt: skip
DID = (
    "put", "moved", "painted", "bought", "measured", "found", "carried", "washed", "forgot", "chose", "repaired",
    "described", "took", "opened", "brought back", "pushed", "folded", "saw", "kept", "borrowed", "weighed",
    "left", "sold", "counted", "covered", "picked up", "drew", "missed", "finished", "wrapped", "checked",
    "shook",
)  # fmt: skip
THINGS = (
    "the blue paper boat", "a pair of boots", "the wooden shelf", "five thin maps", "a bowl of plums",
    "the yellow van", "two empty bottles", "the violin", "a heavy rug", "the thick book", "some fresh bread",
    "the bathroom mirror", "a purple umbrella", "the phone", "three measuring cups", "the garage key",
    "a jar of honey", "the white fence", "her favourite chair", "the third chapter", "a huge vase",
    "the bicycle wheel", "a photograph", "his woollen gloves", "every envelope", "the music box",
    "an orange towel", "the leather pouch", "a usual lunch", "the farm's oldest map", "those sharp knives",
    "a beige jumper",
)  # fmt: skip
PLACES = (
    "on the table", "by the river", "above the piano", "in the valley", "behind the museum", "at the harbour",
    "under the bridge", "near the church", "in the garage", "from the upper floor", "below the window",
    "at the market", "beside the lamp", "in the kitchen", "outside the theatre", "along the beach",
    "next to the oak", "in a small box", "across the yard", "beneath the bench", "at the bus stop",
    "in the village", "between the two houses", "up north",
)  # fmt: skip
TIMES = (
    "before half past four", "on Thursday", "every Wednesday", "in February", "last month", "after lunch",
    "at noon", "this morning", "for about an hour", "once a week", "as usual", "a moment ago",
    "since the fifth of June", "in the evening", "the day before", "twice a year", "around midnight",
    "until seven", "without a word", "by hand",
)  # fmt: skip
ORDERS = (
    "Put", "Please move", "Bring me", "Show them", "Take", "Measure", "Wash", "Leave", "Let us paint",
    "Don't forget", "Try to find", "You may keep", "We should sell", "I would choose",
)  # fmt: skip
FACTS = (
    "is rather long", "was made of brass", "looks quite small", "belongs to the school", "came from the north",
    "has a faint smell of pine", "is thought to be old", "needs a new cover", "costs four pounds",
    "will be moved soon", "weighs as much as a sheep", "was painted by hand", "is easy to reach",
    "fits behind the door", "must be warm by now", "arrived without a label",
)  # fmt: skip
QUESTIONS = (
    "Could you carry", "Would you hold", "Did they measure", "Have you seen", "Who moved", "Why did Pam buy",
    "Where should we put", "May I borrow", "When did Bob sell", "Shall we choose",
)  # fmt: skip
NUMBERS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "eleven", "twelve",
    "thirteen", "twenty", "forty", "fifty",
)  # fmt: skip

LANGUAGES = ("en", *SENTENCES_ABROAD)
"""By espeak-ng's names."""
WRITTEN_SHARE = 0.3
"""Of English sentences that are of ``SENTENCES``; the others are made up."""


def draw_sentence(generator: np.random.Generator, language: str = "en") -> str:
    """A sentence of no emotion in a language of ``LANGUAGES``; a held-out one never."""
    if language != "en":
        written = SENTENCES_ABROAD[language]
        return written[int(generator.integers(len(written)))]
    if generator.random() < WRITTEN_SHARE:
        return SENTENCES[int(generator.integers(len(SENTENCES)))]
    return random_sentence(generator)


def random_sentence(generator: np.random.Generator) -> str:
    """Make up an English sentence, one of some 10⁸, that means little and feels nothing."""

    def one_of(words: tuple[str, ...]) -> str:
        return words[int(generator.integers(len(words)))]

    def number() -> str:
        return "the number is " + ", ".join(one_of(NUMBERS) for _ in range(int(generator.integers(3, 7))))

    templates = (
        lambda: f"{one_of(PEOPLE)} {one_of(DID)} {one_of(THINGS)} {one_of(PLACES)}.",
        lambda: f"{one_of(PEOPLE)} {one_of(DID)} {one_of(THINGS)} {one_of(PLACES)} {one_of(TIMES)}.",
        lambda: f"{one_of(PEOPLE)} {one_of(DID)} {one_of(THINGS)}, and {one_of(THINGS)} {one_of(FACTS)}.",
        lambda: f"{one_of(TIMES)}, {one_of(PEOPLE)} {one_of(DID)} {one_of(THINGS)}.",
        lambda: f"{one_of(THINGS)} {one_of(PLACES)} {one_of(FACTS)}.",
        lambda: f"{one_of(ORDERS)} {one_of(THINGS)} {one_of(PLACES)}.",
        lambda: f"{one_of(QUESTIONS)} {one_of(THINGS)} {one_of(PLACES)}?",
        lambda: f"{number()}.",
    )
    sentence = templates[int(generator.integers(len(templates)))]()
    return sentence[0].upper() + sentence[1:]
