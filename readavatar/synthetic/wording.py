"""What characters say: sentences drawn from a small grammar, and some in other languages."""

from __future__ import annotations

import numpy as np

from readavatar.synthetic.sentences import SENTENCES

PEOPLE = (
    "The baker", "My neighbour", "A tall woman", "The old farmer", "Her brother", "The young pilot",
    "Our teacher", "Somebody", "The judge", "Thomas", "Ruth", "A painter", "The whole team", "My father",
    "Their cousin", "The guide", "Nobody here", "A few people", "The chef", "The new mayor", "Your aunt",
    "Everyone upstairs", "The plumber", "Zoe", "A boy from Perth", "The author", "She", "He", "They", "The vet",
    "One of them", "The shopkeeper",
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
    "Put", "Please move", "Bring me", "Show them", "Take", "Measure", "Wash", "Leave", "Could you carry",
    "Would you hold", "Let us paint", "Don't forget", "Try to find", "You may keep", "We should sell",
    "I would choose",
)  # fmt: skip
FACTS = (
    "is rather long", "was made of brass", "looks quite small", "belongs to the school", "came from the north",
    "has a faint smell of pine", "is thought to be old", "needs a new cover", "costs four pounds",
    "will be moved soon", "weighs as much as a sheep", "was painted by hand", "is easy to reach",
    "fits behind the door", "must be warm by now", "arrived without a label",
)  # fmt: skip
NUMBERS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "eleven", "twelve",
    "thirteen", "twenty", "forty", "fifty",
)  # fmt: skip

ABROAD: dict[str, tuple[str, ...]] = {
    "de": ("Der Bäcker öffnet morgens früh seinen kleinen Laden.",),
    "fr": ("Le boulanger ouvre sa petite boutique tôt le matin.",),
    "es": ("El panadero abre su pequeña tienda por la mañana.",),
    "it": ("Il panettiere apre il suo piccolo negozio la mattina presto.",),
    "cmn": ("我们明天早上坐火车去北京看朋友。",),
}
"""By espeak-ng's name of the language."""

LANGUAGES = ("en", *ABROAD)
WRITTEN_SHARE = 0.3
"""Of English sentences that are of ``SENTENCES``; the others are made up."""


def draw_sentence(generator: np.random.Generator, language: str = "en") -> str:
    """A sentence of no emotion in a language of ``LANGUAGES``; a held-out one never."""
    if language != "en":
        return ABROAD[language][int(generator.integers(len(ABROAD[language])))]
    if generator.random() < WRITTEN_SHARE:
        return SENTENCES[int(generator.integers(len(SENTENCES)))]
    return random_sentence(generator)


def random_sentence(generator: np.random.Generator) -> str:
    """Make up an English sentence: one of some 10⁸."""

    def one_of(words: tuple[str, ...]) -> str:
        return words[int(generator.integers(len(words)))]

    template = int(generator.integers(7))
    if template == 0:
        return f"{one_of(PEOPLE)} {one_of(DID)} {one_of(THINGS)} {one_of(PLACES)}."
    if template == 1:
        return f"{one_of(PEOPLE)} {one_of(DID)} {one_of(THINGS)} {one_of(PLACES)} {one_of(TIMES)}."
    if template == 2:
        order = one_of(ORDERS)
        mark = "?" if "you" in order.split() and not order.startswith("You") else "."
        return f"{order} {one_of(THINGS)} {one_of(PLACES)}{mark}"
    if template == 3:
        thing = one_of(THINGS)
        return f"{thing[0].upper()}{thing[1:]} {one_of(PLACES)} {one_of(FACTS)}."
    if template == 4:
        time = one_of(TIMES)
        return f"{time[0].upper()}{time[1:]}, {one_of(PEOPLE).replace('The', 'the', 1)} {one_of(DID)} {one_of(THINGS)}."
    if template == 5:
        return f"The number is {', '.join(one_of(NUMBERS) for _ in range(int(generator.integers(3, 7))))}."
    person = one_of(PEOPLE)
    return f"{person} {one_of(DID)} {one_of(THINGS)}, and {one_of(THINGS)} {one_of(FACTS)}."
