"""The words that generated sentences about people are made of."""

FIRST_NAMES = (
    "Harry", "Hermione", "Amara", "Björn", "Chiara", "Dmitri", "Elif", "Fatima", "Gustavo", "Hana", "Ingrid",
    "Jamal", "Keiko", "Lars", "Mei", "Nadia", "Omar", "Priya", "Quentin", "Rosa", "Samuel", "Tariq", "Ursula",
    "Viktor", "Wanjiru", "Xavier", "Yuki", "Zofia", "Anders", "Beatriz", "Cédric", "Diana", "Emil", "Freya",
    "Giulia", "Hugo", "Ines", "Jan", "Katya", "Leo", "Marta", "Noah", "Olga", "Paul", "Rania", "Sven", "Teresa",
    "Umar", "Vera", "Willem", "Yara", "Zeno",
    # Also months and places: only what stands around them tells.
    "April", "May", "June", "August", "Florence", "Paris", "Austin", "Victoria", "Jordan", "Georgia", "Chelsea",
    "Sydney",
)  # fmt: skip
NAME_STARTS = (
    "Ash", "Bar", "Bel", "Brand", "Cal", "Carl", "Dal", "Der", "Dun", "Eld", "Fair", "Fen", "Gar", "Gran", "Hal", "Har",
    "Hol", "Kel", "Kir", "Lang", "Lin", "Mar", "Mel", "Mor", "Nor", "Oak", "Pel", "Pot", "Quin", "Ras", "Row", "Sal",
    "Sel", "Stan", "Thorn", "Tol", "Val", "Ver", "Wal", "West", "Wil", "Yar",
)  # fmt: skip
# Ends of surnames, of places, and of both.
SURNAME_ENDS = (
    "son",
    "man",
    "ter",
    "ger",
    "ini",
    "ez",
    "ova",
    "ski",
    "ard",
    "sen",
    "ley",
    "ton",
    "ford",
    "field",
    "well",
)
PLACE_ENDS = ("burg", "ville", "port", "stad", "haven", "grad", "minster", "ley", "ton", "ford", "field", "well")
ORGANISATIONS = (
    "{place} Institute", "University of {place}", "Bank of {place}", "{name} & Sons", "{name} Motors", "{place} United",
    "{name} Labs", "{place} City Council", "{name} Foundation", "{place} Times", "{name} and {other}", "Radio {place}",
)  # fmt: skip
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
DATES = (
    "yesterday", "today", "tomorrow", "{weekday}", "last {weekday}", "next {weekday}", "{day} {month} {year}",
    "{month} {day}, {year}", "{month} {year}", "{day} {month}", "{month} {day}", "{year}", "early {month}",
    "the summer of {year}", "{number} weeks ago", "{number} years ago", "{weekday}, {day} {month} {year}",
)  # fmt: skip
NUMBERS = ("two", "three", "four", "five", "ten", "twelve")

TEMPLATES = (
    "{Date}, {person} met {person2}.",
    "{person} has worked for {organisation} since {date}.",
    "{person} of {organisation} was born in {place}.",
    "{Date} {person} flew from {place} to {place2}.",
    "The train to {place} left without {person}.",
    "{organisation} opens an office in {place}.",
    "{organisation} and {organisation2} will merge, said {person} on Radio.",
    "Nobody at {organisation} had heard of {person} before {date}.",
    "In {place}, it has rained since {date}.",
    '"{place} is beautiful," {person} wrote to {person2}.',
    "{person} (born in {place}) joined {organisation} {date}.",
    "Why did {person} leave {place}?",
    "Asked about {person}, {organisation} did not answer.",
    "{person}, {person2} and a friend drove to {place}.",
    "The mayor of {place} thanked {person} and {organisation}.",
    "{Date}: {organisation} sues {person}.",
    "Members of {organisation} met in {place} {date}.",
    "{person} may come to {place} if {person2} does.",
    "It was {person} who sold the house near {place}.",
    "Shares of {organisation} fell {date}.",
    "From {place}, the road goes on to {place2}.",
    "Dr. {surname} moved to {place} {date}.",
    "Ms. {surname} and Mr. {surname2} run {organisation}.",
    "They will march, she said, and {person} may, too.",
    "A letter by {person} was found {date} in {place}.",
    "{person}'s sister lives in {place}.",
    "{organisation}'s new director is {person}.",
    "Nothing happened.",
    "The summer was long, and nobody wrote.",
    "{person} will march to {place} in spring.",
)
HELD_OUT_TEMPLATES = (
    "{Date} in {place}, {person} was seen with {person2}.",
    "According to {organisation}, {person} left {date}.",
    "{person} and {person2} founded {organisation} in {place}.",
    "Is {place} far from {place2}?",
    "We saw Ms. {surname} {date}, not {person}.",
    "Everyone in {place} knows {person} from {organisation}.",
)
