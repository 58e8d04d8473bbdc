"""Sentences for actors: short, phonetically rich, without emotion; in English, other languages, and from a grammar."""

from __future__ import annotations

import numpy as np

SENTENCES = (
    "The boy put a blue paper boat on the pond.",
    "My mother keeps fresh maple bread in the pantry.",
    "Five thin foxes followed the path through the valley.",
    "We chose the yellow jacket with the wide pockets.",
    "Please move both of the lamps above the piano.",
    "A quick breeze shook the leaves off the old oak.",
    "The vase of violets stood by the open window.",
    "He poured warm milk over a bowl of brown rice.",
    "She thought the third chapter was rather long.",
    "Your package should arrive before half past four.",
    "The ship leaves the harbour every Wednesday evening.",
    "Bring me the rope, the hammer and a box of bolts.",
    "Two large maps hang on the wall beside the door.",
    "The judge asked whether the watch was hers.",
    "Smooth pebbles covered the bottom of the stream.",
    "We walked along the beach until the sun went down.",
    "Father found the farm by following the river.",
    "A pair of purple mittens lay beneath the bench.",
    "The chef chopped the cheese and washed the dishes.",
    "Put your name and address at the top of the form.",
    "The voyage to the island took about five weeks.",
    "They measured the width of the room with a thread.",
    "A loud whistle woke the whole village at noon.",
    "The bus to the museum stops in front of the bank.",
    "Ruth bought a used bicycle with a broken wheel.",
    "Zebras and giraffes share the shade of the tree.",
    "The young pilot flew above the white clouds.",
    "Would you pass me the butter and the pepper?",
    "The room is painted pale blue, with an amber floor.",
    "Most people prefer to travel by train.",
    "The engine makes a low hum when it is warm.",
    "I have been looking for that book for a month.",
    "Thomas keeps his papers in a small metal box.",
    "The baker opens the shop at seven in the morning.",
    "Every fall, the maple turns from green to orange.",
    "She usually measures the pleasure of a garden by its shade.",
    "The path curves north around the frozen lake.",
    "Both of the brothers wore heavy leather gloves.",
    "You may want to improve the front of the building.",
    "A bowl of plums and peaches is on the table.",
    "The phone number is four, five, eight, nine, two.",
    "We heard the bell from far across the marsh.",
    "Jump over the ditch, then follow the fence.",
    "The camera is above the mirror in the hall.",
    "Open the envelope and put the bill on the pile.",
    "He wove a basket from the tough brown vines.",
    "The choir sang the same song three times.",
    "Sheep and goats feed on the hill above the farm.",
    "The lawyer gave me the forms on Thursday.",
    "It would be wise to book the hotel in advance.",
    "The water is deep, but the bottom is smooth sand.",
    "A faint smell of pine comes from the forest.",
    "Her office is above the shoe shop on Maple Avenue.",
    "The map shows a bridge, a mill and a few barns.",
    "Wool is warm, and cotton is easy to wash.",
    "Move the chair over there, by the wooden shelf.",
    "The radio plays music from six until eleven.",
    "Few visitors ever see the valley in February.",
    "Push the button, wait for a beep, and pull the lever.",
    "The two rivers meet below the town of Elm Falls.",
    "She put the brush and the paint back on the shelf.",
    "About half of the apples came from our orchard.",
    "Whose umbrella is that, behind the brown sofa?",
    "The theory is simple, though the proof is rather long.",
    "Maybe we could borrow a van from the neighbours.",
    "The fifth window of the upper floor is open.",
)

HELD_OUT_SENTENCES = (
    "Bob's puppy jumped over a pile of brown pumpkins.",
    "Mop the pub's floor before the members come back.",
    "A plumber fixed the pump below my apartment.",
    "The museum's map marks the bridge with a purple arrow.",
    "Pamela bought eight bags of basmati and some pepper.",
    "Beneath the beam hung an empty bamboo birdcage.",
    "My uncle plays the oboe in a small chamber group.",
    "Put a spoonful of jam beside the buttered bun.",
    "The camp by the bay has many broad maple stumps.",
    "A beaver built its dam above the abandoned mill.",
    "The postman dropped a package by the front steps.",
    "Several poems by this author mention amber and pearl.",
    "Pile the empty boxes up behind the blue cabin.",
    "Both pupils mapped the number of beeches in the park.",
    "Maybe the sheep were moved up to the upper meadow.",
    "Jim wiped the lamp, then polished the wooden banister.",
)
"""Never used in training; each has five /p b m/ or more."""


SENTENCES_ABROAD: dict[str, tuple[str, ...]] = {
    "de": (
        "Der Bäcker öffnet morgens früh seinen kleinen Laden.",
        "Auf dem Tisch liegen fünf Bücher und ein grüner Apfel.",
        "Wir fahren mit dem Bus am Museum vorbei.",
        "Meine Mutter pflanzt im Frühling Bohnen und Möhren.",
        "Bitte bring mir den Hammer und die blaue Leiter.",
        "Das Boot liegt seit Mai am anderen Ufer.",
        "Zwei Jungen spielen hinter der Mühle mit einem Ball.",
        "Am Abend bleibt das obere Fenster meistens offen.",
        "Der Koch wäscht den Pfeffer nicht, aber die Pflaumen.",
        "Neun Häuser stehen neben der alten Brücke.",
        "Vielleicht komme ich übermorgen mit dem Zug.",
        "Schöne Vögel sitzen jeden Morgen auf dem Baum.",
    ),
    "fr": (
        "Le boulanger ouvre sa petite boutique tôt le matin.",
        "Un bon pain blanc est posé sur la table de la cuisine.",
        "Nous prenons le bus devant le musée chaque mercredi.",
        "Ma mère plante des pommes de terre au bout du jardin.",
        "Le bateau bleu revient du port avec huit poissons.",
        "Deux enfants jouent au ballon derrière le moulin.",
        "La fenêtre du premier étage reste souvent ouverte.",
        "Mon oncle répare un vieux vélo sous le pont.",
        "Il faut mesurer la longueur de chaque planche.",
        "Peut-être viendrai-je en train un peu avant onze heures.",
        "Les feuilles jaunes tombent au bord de l'eau.",
        "Vous pouvez mettre le beurre et le poivre ici.",
    ),
    "es": (
        "El panadero abre su pequeña tienda por la mañana.",
        "Hay cinco libros y una manzana verde sobre la mesa.",
        "Tomamos el autobús delante del museo los miércoles.",
        "Mi madre planta tomates y pimientos en el huerto.",
        "El barco azul vuelve del puerto con ocho peces.",
        "Dos niños juegan con una pelota detrás del molino.",
        "La ventana del piso de arriba suele estar abierta.",
        "Mi hermano bebe un vaso de agua junto al pozo.",
        "Hay que medir bien el ancho de cada puerta.",
        "Quizá venga en tren un poco antes de las once.",
        "Nueve ovejas blancas pasan por el puente viejo.",
        "Por favor, pon la mermelada y el pan en el armario.",
    ),
    "it": (
        "Il panettiere apre il suo piccolo negozio la mattina presto.",
        "Sul tavolo ci sono cinque libri e una mela verde.",
        "Prendiamo l'autobus davanti al museo ogni mercoledì.",
        "Mia madre pianta pomodori e peperoni nell'orto.",
        "La barca azzurra torna dal porto con otto pesci.",
        "Due bambini giocano a palla dietro il mulino.",
        "La finestra del piano di sopra rimane spesso aperta.",
        "Mio fratello beve un bicchiere d'acqua vicino al pozzo.",
        "Bisogna misurare bene la larghezza della porta.",
        "Forse vengo in treno un po' prima delle undici.",
        "Gli gnomi di legno stanno sopra il vecchio armadio.",
        "Puoi mettere il burro e il pepe sul bancone.",
    ),
    "pt-br": (
        "O padeiro abre a sua pequena loja de manhã cedo.",
        "Há cinco livros e uma maçã verde em cima da mesa.",
        "Tomamos o ônibus em frente ao museu toda quarta-feira.",
        "Minha mãe planta tomates e pimentões na horta.",
        "O barco azul volta do porto com oito peixes.",
        "Dois meninos jogam bola atrás do moinho.",
        "A janela do andar de cima fica sempre aberta.",
        "Meu irmão bebe um copo de água perto do poço.",
        "É bom medir a largura de cada porta.",
        "Nove ovelhas brancas passam pela ponte velha.",
    ),
    "pl": (
        "Piekarz otwiera rano swój mały sklep.",
        "Na stole leży pięć książek i zielone jabłko.",
        "W środę jedziemy autobusem obok muzeum.",
        "Moja mama sadzi w ogrodzie pomidory i paprykę.",
        "Niebieska łódź wraca z portu przed południem.",
        "Dwóch chłopców gra w piłkę za młynem.",
        "Górne okno jest zwykle otwarte.",
        "Mój brat pije wodę przy starym moście.",
        "Trzeba zmierzyć szerokość każdej deski.",
        "Być może przyjadę pociągiem po jedenastej.",
    ),
    "tr": (
        "Fırıncı küçük dükkânını sabah erken açar.",
        "Masanın üstünde beş kitap ve yeşil bir elma var.",
        "Çarşamba günleri müzenin önünden otobüse bineriz.",
        "Annem bahçeye domates ve biber ekiyor.",
        "Mavi tekne öğleden önce limana döner.",
        "İki çocuk değirmenin arkasında top oynuyor.",
        "Üst kattaki pencere genellikle açık kalır.",
        "Kardeşim köprünün yanında bir bardak su içiyor.",
        "Her kapının genişliğini ölçmek gerekir.",
        "Belki on birden biraz önce trenle gelirim.",
    ),
    "cmn": (
        "我们明天早上坐火车去北京看朋友。",
        "桌子上有五本书和一个苹果。",
        "妈妈在花园里种白菜和土豆。",
        "面包店每天早上八点开门。",
        "两个孩子在桥旁边跑步。",
        "请把蓝色的杯子放在门后面。",
        "我哥哥买了一辆旧自行车。",
        "博物馆前面有一棵很高的树。",
        "那条船慢慢地回到码头。",
        "他不怕走远路,每个月都爬山。",
        "楼上的窗户平时开着。",
    ),
    "ja": (
        "パンやさんは あさ はやく みせを あけます。",
        "テーブルの うえに ほんが ごさつ あります。",
        "わたしたちは バスで びじゅつかんへ いきます。",
        "ははは にわに まめと ピーマンを うえました。",
        "あおい ふねが みなとへ もどって きます。",
        "ふたりの こどもが はしの そばで あそんで います。",
        "にかいの まどは いつも あいて います。",
        "ぼくは まいあさ ミルクを いっぱい のみます。",
        "たぶん でんしゃで じゅういちじまえに つきます。",
        "ぼうしと かばんを たなの うえに おいて ください。",
    ),
}


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
